import Rmlx
import SwiftUI
import UniformTypeIdentifiers

/// Proves a snapshot on this device, and shares the report.
struct AcceptanceView: View {
  @State private var acceptance = Acceptance()
  @State private var isChoosing = false
  @State private var isContentCounted = true

  var body: some View {
    List {
      Section {
        Button("Choose a model…") { isChoosing = true }.disabled(acceptance.isRunning)
        Toggle("Wrong answers count", isOn: $isContentCounted).disabled(acceptance.isRunning)
        if acceptance.isRunning {
          Button("Stop", role: .cancel, action: acceptance.stop)
          ProgressView()
        }
        if let failure = acceptance.failure { Text(failure).foregroundStyle(.red) }
      } footer: {
        Text("Asks the model about pictures, text and a sound, and measures it. Random weights: turn the switch off.")
      }
      if let report = acceptance.report {
        Section(report.summary) {
          ShareLink("Share the report", items: acceptance.files)
        }
      }
      Section {
        ForEach(acceptance.checks) { CheckRow(check: $0) }
      }
    }
    .navigationTitle("Accept")
    .fileImporter(isPresented: $isChoosing, allowedContentTypes: [.folder]) { result in
      if case .success(let folder) = result { acceptance.run(folder, isContentCounted: isContentCounted) }
    }
    .onDisappear(perform: acceptance.stop)
  }
}

private struct CheckRow: View {
  let check: AcceptanceCheck

  var body: some View {
    VStack(alignment: .leading) {
      Label(check.name, systemImage: symbol).foregroundStyle(check.outcome == .failed ? Color.red : .primary)
      if !check.reason.isEmpty {
        Text(check.reason).font(.footnote).foregroundStyle(.secondary).textSelection(.enabled)
      }
    }
  }

  private var symbol: String {
    switch check.outcome {
    case .ok: "checkmark.circle"
    case .failed: "xmark.octagon"
    case .notApplicable: "minus.circle"
    case .inconclusive: "questionmark.circle"
    }
  }
}

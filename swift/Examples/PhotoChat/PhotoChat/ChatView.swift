import PhotosUI
import SwiftUI
import UniformTypeIdentifiers

/// Pick a photo, ask, watch the answer stream, stop it.
struct ChatView: View {
  @Bindable var chat: Chat

  @State private var question = ""
  @State private var picked: PhotosPickerItem?
  @State private var isChoosingModel = false

  var body: some View {
    VStack(spacing: 12) {
      header
      conversation
      entry
    }
    .padding()
    .fileImporter(isPresented: $isChoosingModel, allowedContentTypes: [.folder]) { result in
      if case .success(let folder) = result { chat.load(folder) }
    }
    .onChange(of: picked) { _, item in
      if let item { chat.pick { try await item.loadTransferable(type: Data.self) } }
    }
    .alert("That did not work", isPresented: hasFailure) {
    } message: {
      Text(chat.failure ?? "")
    }
  }

  private var header: some View {
    HStack {
      Button("Model…") { isChoosingModel = true }
      PhotosPicker("Photo…", selection: $picked, matching: .images)
      NavigationLink("Accept…", destination: { AcceptanceView() })
      Spacer()
      if case .loading(let fraction) = chat.phase {
        ProgressView(value: fraction).frame(maxWidth: 120)
      } else if let speed = chat.speed {
        Text("\(speed, format: .number.precision(.fractionLength(0))) tokens/s").foregroundStyle(.secondary)
      }
    }
  }

  private var conversation: some View {
    ScrollView {
      VStack(alignment: .leading, spacing: 12) {
        if let photo = chat.photo {
          Photo(data: photo)
        }
        ForEach(chat.entries) { entry in
          Text(entry.text)
            .padding(10)
            .background(entry.isQuestion ? Color.accentColor.opacity(0.2) : Color.secondary.opacity(0.15))
            .clipShape(RoundedRectangle(cornerRadius: 12))
            .frame(maxWidth: .infinity, alignment: entry.isQuestion ? .trailing : .leading)
            .textSelection(.enabled)
        }
      }
    }
    .defaultScrollAnchor(.bottom)
  }

  private var entry: some View {
    HStack {
      TextField("Ask about the photo", text: $question)
        .textFieldStyle(.roundedBorder)
        .onSubmit(ask)
      if chat.isBusy {
        Button("Stop", systemImage: "stop.fill", action: chat.stop)
      } else {
        Button("Ask", systemImage: "arrow.up", action: ask)
          .disabled(chat.phase != .ready || question.isEmpty)
      }
    }
    .labelStyle(.iconOnly)
  }

  private var hasFailure: Binding<Bool> {
    Binding(get: { chat.failure != nil }, set: { if !$0 { chat.failure = nil } })
  }

  private func ask() {
    chat.ask(question)
    question = ""
  }
}

/// A photo of any format that the system can show.
private struct Photo: View {
  let data: Data

  var body: some View {
    #if canImport(UIKit)
      let image = UIImage(data: data).map(Image.init(uiImage:))
    #else
      let image = NSImage(data: data).map(Image.init(nsImage:))
    #endif
    image?
      .resizable()
      .scaledToFit()
      .frame(maxHeight: 240)
      .clipShape(RoundedRectangle(cornerRadius: 12))
  }
}

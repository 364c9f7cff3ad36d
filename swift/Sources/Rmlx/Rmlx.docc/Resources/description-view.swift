import SwiftUI

struct DescriptionView: View {
  let describer: Describer
  let photo: Data

  @State private var description = ""
  @State private var failure: String?

  var body: some View {
    Text(failure ?? description)
      .task(id: photo) {
        description = ""
        failure = nil
        do {
          try await describer.describe(photo) { description += $0 }
        } catch {
          failure = Task.isCancelled ? nil : error.localizedDescription
        }
      }
  }
}

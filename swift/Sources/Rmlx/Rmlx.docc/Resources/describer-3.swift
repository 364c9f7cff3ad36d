import Foundation
import Rmlx

actor Describer {
  private let model: Model

  init(folder: URL, progress: @escaping @Sendable (Double) -> Void) async throws(RmlxError) {
    model = try await Model.load(at: folder, progress: progress)
  }

  func describe(_ photo: Data, show: @MainActor (String) -> Void) async throws(RmlxError) {
    let session = Session(model)
    let image = ImageInput(data: photo)
    for try await text in session.generate("\(image)Describe the picture.").text {
      await show(text)
    }
  }
}

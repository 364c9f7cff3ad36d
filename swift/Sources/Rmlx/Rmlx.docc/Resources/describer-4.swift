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
    let options = GenerationOptions(maxTokens: 200)
    do {
      for try await text in session.generate("\(image)Describe the picture.", options).text {
        await show(text)
      }
    } catch {
      guard error.code == .invalidMedia else { throw error }
      await show("This photo cannot be read.")
    }
  }
}

import Foundation
import Rmlx

actor Describer {
  private let model: Model

  init(folder: URL, progress: @escaping @Sendable (Double) -> Void) async throws(RmlxError) {
    model = try await Model.load(at: folder, progress: progress)
  }
}

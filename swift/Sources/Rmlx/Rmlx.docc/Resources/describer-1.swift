import Foundation
import Rmlx

actor Describer {
  private let model: Model

  init(folder: URL) async throws(RmlxError) {
    model = try await Model.load(at: folder)
  }
}

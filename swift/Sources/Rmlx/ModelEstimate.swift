import CRmlx
import Foundation

/// How much memory a load and a session would take, in bytes.
public struct MemoryEstimate: Decodable, Hashable, Sendable {
  /// Positions that the session is counted with.
  public let contextTokens: Int
  /// The weights as they are held.
  public let weights: UInt64
  /// What the session holds when its context is full.
  public let cache: UInt64
  /// What a piece of a prompt is computed with.
  public let prefill: UInt64
  /// The most of all that at a time, during the load or after it.
  public let peak: UInt64
  /// What the system has now, where it tells.
  public let available: UInt64?
  /// Whether the peak is within that, and within the memory limit of the options.
  public let fits: Bool

  enum CodingKeys: String, CodingKey {
    case contextTokens = "context_tokens"
    case weights, cache, prefill, peak, available, fits
  }
}

extension Model {
  /// Tells how much memory a model and a session would take, without reading a weight.
  ///
  /// - Parameters:
  ///   - folder: The folder of the snapshot.
  ///   - options: Those of the load.
  ///   - contextTokens: Positions that the session is to hold; nil for all that the options or the model allow.
  /// - Throws: ``RmlxError`` as ``inspect(at:)``.
  public static func estimate(
    at folder: URL, options: LoadOptions = LoadOptions(), contextTokens: Int? = nil
  ) async throws(RmlxError) -> MemoryEstimate {
    let path = try path(of: folder)
    let positions: Int = try count(contextTokens ?? 0, "contextTokens")
    return try await offPool(sharedQueue) { () throws(RmlxError) in
      var text: UnsafeMutablePointer<CChar>?
      try options.withRaw { (options) throws(RmlxError) in
        try check { error in rmlx_model_estimate(path, options, positions, &text, error) }
      }
      defer { rmlx_string_release(text) }
      guard let text, let told = try? JSONDecoder().decode(MemoryEstimate.self, from: Data(String(cString: text).utf8))
      else { throw RmlxError(.panic, "the estimate cannot be read") }
      return told
    }
  }
}

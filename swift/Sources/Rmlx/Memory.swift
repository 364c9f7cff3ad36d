import CRmlx

/// The memory of the whole process that MLX manages, in bytes.
public enum Memory {
  /// How much there is of it.
  public struct Usage: Hashable, Sendable {
    /// In use: weights, what sessions hold, and what is being computed.
    public let active: Int
    /// Not in use, kept to be used again.
    public let cache: Int
    /// The most that was ever in use.
    public let peak: Int
    /// Above this, MLX gives its cache back and waits for running work before it takes more.
    public let limit: Int
    /// Of what is in use: encoded images and sounds that models keep, so that they need not encode them again.
    public let media: Int
  }

  /// How much is used now.
  public static func usage() throws(RmlxError) -> Usage {
    var raw = rmlx_memory_usage()
    raw.struct_size = MemoryLayout<rmlx_memory_usage>.size
    try check { error in rmlx_memory_stats(&raw, error) }
    return Usage(
      active: Int(clamping: raw.active), cache: Int(clamping: raw.cache), peak: Int(clamping: raw.peak),
      limit: Int(clamping: raw.limit), media: Int(clamping: raw.media))
  }

  /// Sets how much MLX may use, and how much it may keep to use it again. What is nil stays as it is.
  public static func setLimits(memory: Int? = nil, cache: Int? = nil) throws(RmlxError) {
    let (memory, cache) = (try bytes(memory), try bytes(cache))
    try check { error in rmlx_memory_set_limits(memory, cache, error) }
  }

  /// Sets how much of the GPU's memory stays wired. Nil is the default: on macOS the weights of all models and an eighth
  /// more, on iOS nothing.
  public static func setWiredLimit(_ limit: Int?) throws(RmlxError) {
    let limit = try bytes(limit)
    try check { error in rmlx_memory_set_wired_limit(limit, error) }
  }

  /// Gives the memory that MLX keeps to be used again back to the system, and the encoded media that models keep.
  ///
  /// It waits for the model's thread, so call it from a place that may wait, or use ``AppLifecycle``.
  public static func trim() throws(RmlxError) {
    try check { error in rmlx_memory_trim(error) }
  }

  private static func bytes(_ count: Int?) throws(RmlxError) -> UInt64 {
    guard let count else { return .max }
    guard let bytes = UInt64(exactly: count) else {
      throw RmlxError(.invalidArgument, "a limit of \(count) bytes cannot be: it must be 0 or more")
    }
    return bytes
  }
}

import CRmlx

/// The memory of the whole process that MLX manages, in bytes.
public enum Memory {
  /// How much there is of it.
  public struct Usage: Hashable, Sendable {
    /// In use: weights, what sessions hold, and what is being computed.
    public let active: UInt64
    /// Not in use, kept to be used again.
    public let cache: UInt64
    /// The most that was ever in use.
    public let peak: UInt64
    /// Above this, MLX gives its cache back and waits for running work before it takes more.
    public let limit: UInt64
    /// Of what is in use: encoded images and sounds that models keep, so that they need not encode them again.
    public let media: UInt64
  }

  /// How much is used now.
  public static func usage() throws(RmlxError) -> Usage {
    var raw = rmlx_memory_usage()
    raw.struct_size = MemoryLayout<rmlx_memory_usage>.size
    try check { error in rmlx_memory_stats(&raw, error) }
    return Usage(active: raw.active, cache: raw.cache, peak: raw.peak, limit: raw.limit, media: raw.media)
  }

  /// Sets how much MLX may use, and how much it may keep to use it again. What is nil stays as it is.
  public static func setLimits(memory: UInt64? = nil, cache: UInt64? = nil) throws(RmlxError) {
    try check { error in rmlx_memory_set_limits(memory ?? .max, cache ?? .max, error) }
  }

  /// Sets how much of the GPU's memory stays wired. Nil is the default: on macOS the weights of all models and an eighth
  /// more, on iOS nothing.
  public static func setWiredLimit(_ bytes: UInt64?) throws(RmlxError) {
    try check { error in rmlx_memory_set_wired_limit(bytes ?? .max, error) }
  }

  /// Gives the memory that MLX keeps to be used again back to the system, and the encoded media that models keep.
  ///
  /// It waits for the model's thread, so call it from a place that may wait, or use ``AppLifecycle``.
  public static func trim() throws(RmlxError) {
    try check { error in rmlx_memory_trim(error) }
  }
}

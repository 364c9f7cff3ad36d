import CRmlx

/// How much a file of an image or a sound may ask for while it is decoded.
///
/// What is nil has the library's default. A file that asks for more is ``RmlxError/Code/invalidMedia``, before the memory is
/// taken. Of formats that the system decodes (HEIC, M4A, …) pixels and seconds count. Limits are no part of what a coded prompt holds.
public struct MediaLimits: Hashable, Sendable {
  /// The most pixels of an image.
  public var maxPixels: Int?
  /// The most bytes that the library holds at once for it: what the decoder works with, and what it makes.
  public var maxBytes: Int?
  /// The most seconds of a sound.
  public var maxSeconds: Int?

  /// Makes limits; what is not named has the library's default.
  public init(maxPixels: Int? = nil, maxBytes: Int? = nil, maxSeconds: Int? = nil) {
    self.maxPixels = maxPixels
    self.maxBytes = maxBytes
    self.maxSeconds = maxSeconds
  }
}

extension MediaLimits: RawOptions {
  static func make() -> OpaquePointer? { rmlx_media_options_new() }
  static func release(_ raw: OpaquePointer) { rmlx_media_options_release(raw) }

  func apply(to raw: OpaquePointer) throws(RmlxError) {
    try set(maxPixels, "maxPixels", in: raw, rmlx_media_options_set_max_pixels)
    try set(maxBytes, "maxBytes", in: raw, rmlx_media_options_set_max_bytes)
    try set(maxSeconds, "maxSeconds", in: raw, rmlx_media_options_set_max_seconds)
  }

  /// The C library's options, with what stops the call.
  func withRaw<Result>(
    _ cancel: CancelFlag, _ use: (OpaquePointer) throws(RmlxError) -> Result
  ) throws(RmlxError) -> Result {
    try withRaw { (raw) throws(RmlxError) in
      try check { error in rmlx_media_options_set_cancel(raw, cancel.pointer, error) }
      return try use(raw)
    }
  }
}

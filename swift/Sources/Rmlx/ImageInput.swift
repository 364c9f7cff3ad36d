import CRmlx
import Foundation

/// How raw pixels lie in memory.
///
/// Rows go from top to bottom, pixels from left to right; the colours are sRGB.
public struct PixelFormat: RawRepresentable, Hashable, Sendable {
  /// The number that the C library gives it.
  public let rawValue: Int32

  /// Makes a format of its number.
  public init(rawValue: Int32) {
    self.rawValue = rawValue
  }

  /// 3 bytes a pixel: red, green, blue.
  public static let rgb8 = PixelFormat(rawValue: RMLX_PIXELS_RGB8)
  /// 4 bytes a pixel: red, green, blue, alpha. Alpha is not looked at.
  public static let rgba8 = PixelFormat(rawValue: RMLX_PIXELS_RGBA8)
  /// 4 bytes a pixel: blue, green, red, alpha. Alpha is not looked at.
  public static let bgra8 = PixelFormat(rawValue: RMLX_PIXELS_BGRA8)
  /// 1 byte a pixel: brightness.
  public static let gray8 = PixelFormat(rawValue: RMLX_PIXELS_GRAY8)
}

/// An image for a prompt.
///
/// Making one is quick. Data and files are read and decoded when a session first needs them, aside from Swift's threads;
/// what is wrong with them is thrown by the answer then. Copies share what was decoded, so keep the value
/// while the conversation goes on.
public struct ImageInput: Hashable, Sendable {
  let source: MediaSource

  /// An image file in memory: PNG, JPEG, WebP, GIF (its first frame), BMP or TIFF, and on Apple's platforms
  /// HEIC or AVIF. Its EXIF orientation is applied.
  public init(data: Data, limits: MediaLimits = MediaLimits()) {
    source = MediaSource(.encoded(data, .image), limits: limits)
  }

  /// An image file: PNG, JPEG, WebP, GIF (its first frame), BMP or TIFF, and on Apple's platforms
  /// HEIC or AVIF. Its EXIF orientation is applied.
  public init(url: URL, limits: MediaLimits = MediaLimits()) {
    source = MediaSource(.file(url, .image), limits: limits)
  }

  /// Raw pixels; `rowStride` is the bytes from the beginning of a row to that of the next, 0 for rows without a gap.
  public init(pixels: Data, width: Int, height: Int, rowStride: Int = 0, format: PixelFormat) {
    source = MediaSource(.pixels(pixels, width: width, height: height, rowStride: rowStride, format: format))
  }

  init(source: MediaSource) {
    self.source = source
  }

  /// The same image in more or less detail: it takes at most so many positions, 1 or more.
  ///
  /// Which numbers there are is the model's: Gemma 4 takes 70, 140, 280, 560 and 1120, Gemma 3 its 256 only, Qwen3-VL
  /// any. The answer throws ``RmlxError/Code/unsupported`` for another one, and says what the
  /// model can do.
  public func softTokens(_ most: Int) -> ImageInput {
    ImageInput(source: MediaSource(.budget(source, softTokens: most)))
  }

  /// The same image, with crops of it besides the whole where it is long, or without: what Gemma 3 calls pan and scan.
  ///
  /// The answer throws ``RmlxError/Code/unsupported`` where crops are asked of a model
  /// without them.
  public func panAndScan(_ on: Bool = true) -> ImageInput {
    ImageInput(source: MediaSource(.panAndScan(source, on)))
  }

  /// The same image in another range of sizes than the model's own: what Qwen3-VL calls its least and most pixels.
  ///
  /// The answer throws ``RmlxError/Code/unsupported`` where the model cannot do that.
  public func pixels(_ range: ClosedRange<Int>) -> ImageInput {
    ImageInput(source: MediaSource(.pixelRange(source, range)))
  }

  /// Reads and decodes the image, and tells its size in pixels, the right way up.
  public func size() async throws(RmlxError) -> (width: Int, height: Int) {
    let source = source
    return try await cancellable { (cancel) throws(RmlxError) in
      let image = try source.handle(cancel)
      return (Int(rmlx_image_width(image.pointer)), Int(rmlx_image_height(image.pointer)))
    }
  }

  /// The same image without what the model does not take of it: a photo of 12 megapixels holds 36 MB, and some 2 MB then.
  ///
  /// Let go of this one to have the memory back. Answers are the same, and to sessions both are the same image. The new one goes
  /// with this model, and with every other that takes its images at the same sizes; another one throws
  /// ``RmlxError/Code/invalidArgument``.
  ///
  /// - Throws: What is wrong with the image; ``RmlxError/Code/unsupported`` for a model that does not see, or not in this
  ///   detail; ``RmlxError/Code/cancelled`` when the task is cancelled.
  public func prepared(for model: Model) async throws(RmlxError) -> ImageInput {
    ImageInput(source: try await source.prepared(for: model))
  }

  /// Reads and decodes the image, and tells how many bytes it holds.
  public func byteCount() async throws(RmlxError) -> Int {
    try await source.byteCount()
  }
}

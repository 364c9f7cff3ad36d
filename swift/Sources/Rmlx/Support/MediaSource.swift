import CRmlx
import Foundation

/// What an image or a sound is made of.
///
/// Copies share it, so that it is read and decoded once, when it is first needed.
final class MediaSource: Hashable, Sendable {
  enum Origin: Hashable, Sendable {
    case encoded(Data, Kind)
    case file(URL, Kind)
    case pixels(Data, width: Int, height: Int, rowStride: Int, format: PixelFormat)
    case samples([Float], channels: Int, sampleRate: Int)
    /// Another sound, which may be cut into clips or not.
    case split(MediaSource, Bool)
    /// Images and their times in seconds.
    case frames([MediaSource], [Double])
    /// Another image, to be shown in so many positions.
    case budget(MediaSource, softTokens: Int)
    /// Another image, to be shown with crops of it or without.
    case panAndScan(MediaSource, Bool)
    /// Another image, to be brought to so many pixels.
    case pixelRange(MediaSource, ClosedRange<Int>)
    /// None, for a reason that whoever needs it is told.
    case failed(RmlxError, Kind)
  }

  enum Kind: String, Codable, Sendable {
    case image
    case audio
    case video
  }

  let origin: Origin
  let limits: MediaLimits
  private let decoded: Locked<Handle?>

  init(_ origin: Origin, limits: MediaLimits = MediaLimits(), decoded: Handle? = nil) {
    self.origin = origin
    self.limits = limits
    self.decoded = Locked(decoded)
  }

  static func == (one: MediaSource, other: MediaSource) -> Bool {
    one === other || (one.origin == other.origin && one.limits == other.limits)
  }

  func hash(into hasher: inout Hasher) { hasher.combine(origin) }

  var kind: Kind {
    switch origin {
    case .encoded(_, let kind), .file(_, let kind), .failed(_, let kind): kind
    case .pixels, .budget, .panAndScan, .pixelRange: .image
    case .samples, .split: .audio
    case .frames: .video
    }
  }

  /// The decoded medium. This reads files and decodes them, so it may take a while.
  func handle(_ cancel: CancelFlag = CancelFlag()) throws(RmlxError) -> Handle {
    try decoded.withLock { decoded in
      Result { () throws(RmlxError) in
        if let decoded { return decoded }
        let made = try make(cancel)
        decoded = made
        return made
      }
    }.get()
  }

  /// The same without what a model does not take of it, in place of all that is decoded.
  func prepared(for model: Handle, _ cancel: CancelFlag) throws(RmlxError) -> MediaSource {
    let whole = try handle(cancel)
    let prepared = try MediaLimits().withRaw(cancel) { (options) throws(RmlxError) in
      try Self.media { out, error in rmlx_media_prepare(model.pointer, whole.pointer, options, out, error) }
    }
    return MediaSource(undecoded.origin, limits: limits, decoded: prepared)
  }

  /// The same, aside from Swift's threads.
  func prepared(for model: Model) async throws(RmlxError) -> MediaSource {
    let model = try model.handle()
    return try await cancellable { (cancel) throws(RmlxError) in try self.prepared(for: model, cancel) }
  }

  func byteCount() async throws(RmlxError) -> Int {
    try await cancellable { (cancel) throws(RmlxError) in Int(rmlx_media_bytes(try self.handle(cancel).pointer)) }
  }

  /// The same, of which nothing is decoded.
  private var undecoded: MediaSource {
    let origin: Origin =
      switch origin {
      case .budget(let image, let softTokens): .budget(image.undecoded, softTokens: softTokens)
      case .panAndScan(let image, let on): .panAndScan(image.undecoded, on)
      case .pixelRange(let image, let range): .pixelRange(image.undecoded, range)
      case .split(let sound, let split): .split(sound.undecoded, split)
      case .frames(let frames, let times): .frames(frames.map(\.undecoded), times)
      case .encoded, .file, .pixels, .samples, .failed: origin
      }
    return MediaSource(origin, limits: limits)
  }

  private func make(_ cancel: CancelFlag) throws(RmlxError) -> Handle {
    switch origin {
    case .failed(let error, _): throw error
    case .encoded(let data, let kind): return try Self.decode(data, kind, limits, cancel)
    case .file(let url, let kind): return try Self.decode(Self.read(url), kind, limits, cancel)
    case .pixels(let data, let width, let height, let rowStride, let format):
      return try Self.image(data, width: width, height: height, rowStride: rowStride, format: format)
    case .samples(let samples, let channels, let sampleRate):
      return try Self.audio(samples, channels: channels, sampleRate: sampleRate)
    case .split(let sound, let split):
      return try Self.media { [sound = try sound.handle(cancel)] out, error in
        rmlx_audio_with_split(sound.pointer, split, out, error)
      }
    case .frames(let frames, let times): return try Self.video(frames, times, cancel)
    case .budget(let image, let softTokens):
      let most: UInt32 = try count(softTokens, "softTokens")
      return try Self.media { [image = try image.handle(cancel)] out, error in
        rmlx_image_with_soft_token_budget(image.pointer, most, out, error)
      }
    case .panAndScan(let image, let on):
      return try Self.media { [image = try image.handle(cancel)] out, error in
        rmlx_image_with_pan_and_scan(image.pointer, on, out, error)
      }
    case .pixelRange(let image, let range):
      let least: UInt32 = try count(range.lowerBound, "pixels")
      let most: UInt32 = try count(range.upperBound, "pixels")
      return try Self.media { [image = try image.handle(cancel)] out, error in
        rmlx_image_with_pixel_range(image.pointer, least, most, out, error)
      }
    }
  }

  /// How files of sounds are named.
  static let soundExtensions: Set<String> = [
    "wav", "wave", "flac", "mp3", "ogg", "oga", "m4a", "aac", "caf", "aif", "aiff", "opus",
  ]

  /// How files of sounds begin.
  static func beginsAsSound(_ data: Data) -> Bool {
    let start = [UInt8](data.prefix(12))
    let text = String(decoding: start, as: UTF8.self)
    return text.hasPrefix("fLaC") || text.hasPrefix("OggS") || text.hasPrefix("ID3") || text.hasPrefix("caff")
      || (text.hasPrefix("RIFF") && start.dropFirst(8) == Array("WAVE".utf8)[...])
      || (text.hasPrefix("FORM") && start.dropFirst(8).starts(with: Array("AIF".utf8)))
      || start.dropFirst(4).starts(with: Array("ftypM4A".utf8))
      // A frame of MPEG's layers 1 to 3, or of AAC.
      || (start.count > 1 && start[0] == 0xFF && start[1] & 0xE0 == 0xE0)
  }

  private static func read(_ url: URL) throws(RmlxError) -> Data {
    guard url.isFileURL else {
      throw RmlxError(
        .invalidArgument,
        "\(url) is not the URL of a file: fetch it and pass its data, or interpolate its absoluteString as text")
    }
    do {
      return try Data(contentsOf: url, options: .mappedIfSafe)
    } catch {
      let missing = (error as NSError).code == CocoaError.fileReadNoSuchFile.rawValue
      throw RmlxError(
        missing ? .notFound : .invalidMedia, "cannot read \(url.path): \(error.localizedDescription)",
        details: ["path": .string(url.path)])
    }
  }

  private static func decode(
    _ data: Data, _ kind: Kind, _ limits: MediaLimits, _ cancel: CancelFlag
  ) throws(RmlxError) -> Handle {
    if let decoded = try systemDecoded(data, kind, limits) { return try decoded.handle(cancel) }
    return try limits.withRaw(cancel) { (options) throws(RmlxError) in
      try media { out, error in
        data.withUnsafeBytes { bytes in
          // Of no bytes there may be no address, and C wants one.
          let start = bytes.baseAddress ?? UnsafeRawPointer(out)
          return switch kind {
          case .image: rmlx_image_from_encoded(start, bytes.count, options, out, error)
          case .audio: rmlx_audio_from_encoded(start, bytes.count, options, out, error)
          // A video is made of images.
          case .video: RMLX_ERROR_UNSUPPORTED
          }
        }
      }
    }
  }

  private static func image(
    _ data: Data, width: Int, height: Int, rowStride: Int, format: PixelFormat
  ) throws(RmlxError) -> Handle {
    guard let columns = UInt32(exactly: width), let rows = UInt32(exactly: height), rowStride >= 0 else {
      throw RmlxError(.invalidArgument, "an image cannot be \(width) by \(height) pixels, \(rowStride) bytes a row")
    }
    return try media { out, error in
      data.withUnsafeBytes { bytes in
        var pixels = rmlx_pixels()
        pixels.struct_size = MemoryLayout<rmlx_pixels>.size
        pixels.data = bytes.baseAddress ?? UnsafeRawPointer(out)
        pixels.size = bytes.count
        pixels.row_stride = rowStride
        pixels.width = columns
        pixels.height = rows
        pixels.format = format.rawValue
        return rmlx_image_from_pixels(&pixels, out, error)
      }
    }
  }

  private static func audio(_ samples: [Float], channels: Int, sampleRate: Int) throws(RmlxError) -> Handle {
    guard let width = UInt32(exactly: channels), let rate = UInt32(exactly: sampleRate), width > 0 else {
      throw RmlxError(.invalidArgument, "a sound cannot have \(channels) channels at \(sampleRate) frames a second")
    }
    guard samples.count % channels == 0 else {
      throw RmlxError(
        .invalidArgument, "\(samples.count) samples do not make whole frames of \(channels) channels")
    }
    return try media { out, error in
      rmlx_audio_from_pcm_f32(samples, samples.count / channels, width, rate, out, error)
    }
  }

  private static func video(
    _ frames: [MediaSource], _ times: [Double], _ cancel: CancelFlag
  ) throws(RmlxError) -> Handle {
    var images: [Handle] = []
    for frame in frames {
      if cancel.isTriggered { throw .cancelled }
      images.append(try frame.handle(cancel))
    }
    let pointers: [OpaquePointer?] = images.map(\.pointer)
    return try withExtendedLifetime(images) { () throws(RmlxError) in
      try media { out, error in rmlx_video_from_frames(pointers, times, times.count, out, error) }
    }
  }

  private static func media(
    _ make: (UnsafeMutablePointer<OpaquePointer?>, UnsafeMutablePointer<OpaquePointer?>) -> rmlx_status
  ) throws(RmlxError) -> Handle {
    var media: OpaquePointer?
    try check { error in make(&media, error) }
    guard let media else { throw RmlxError(.panic, "no medium was made") }
    return Handle(media) { rmlx_media_release($0) }
  }
}

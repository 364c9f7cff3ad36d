import Foundation

/// A medium is written as what it is made of, and read back unread and undecoded.
extension MediaSource: Codable {
  private enum CodingKeys: String, CodingKey {
    case type, url, data, pixels, width, height, format, samples, channels, frames, times, split, of
    case rowStride = "row_stride"
    case sampleRate = "sample_rate"
    case softTokens = "soft_tokens"
    case panAndScan = "pan_and_scan"
    case pixelRange = "pixel_range"
  }

  convenience init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    let kind = try container.decode(Kind.self, forKey: .type)
    if container.contains(.of) {
      self.init(try Self.variant(of: container.decode(MediaSource.self, forKey: .of), container))
    } else if let url = try container.decodeIfPresent(URL.self, forKey: .url) {
      self.init(.file(url, kind))
    } else if let data = try container.decodeIfPresent(Data.self, forKey: .data) {
      self.init(.encoded(data, kind))
    } else if let pixels = try container.decodeIfPresent(Data.self, forKey: .pixels) {
      self.init(
        .pixels(
          pixels, width: try container.decode(Int.self, forKey: .width),
          height: try container.decode(Int.self, forKey: .height),
          rowStride: try container.decode(Int.self, forKey: .rowStride),
          format: PixelFormat(rawValue: try container.decode(Int32.self, forKey: .format))))
    } else if let samples = try container.decodeIfPresent(Data.self, forKey: .samples) {
      self.init(
        .samples(
          Self.floats(samples), channels: try container.decode(Int.self, forKey: .channels),
          sampleRate: try container.decode(Int.self, forKey: .sampleRate)))
    } else {
      let frames = try container.decode([MediaSource].self, forKey: .frames)
      self.init(.frames(frames, try container.decode([Double].self, forKey: .times)))
    }
  }

  private static func variant(
    of source: MediaSource, _ container: KeyedDecodingContainer<CodingKeys>
  ) throws -> Origin {
    if let most = try container.decodeIfPresent(Int.self, forKey: .softTokens) {
      .budget(source, softTokens: most)
    } else if let on = try container.decodeIfPresent(Bool.self, forKey: .panAndScan) {
      .panAndScan(source, on)
    } else if let range = try container.decodeIfPresent(ClosedRange<Int>.self, forKey: .pixelRange) {
      .pixelRange(source, range)
    } else {
      .split(source, try container.decode(Bool.self, forKey: .split))
    }
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(kind, forKey: .type)
    switch origin {
    case .failed(let error, _):
      throw EncodingError.invalidValue(
        self, .init(codingPath: encoder.codingPath, debugDescription: error.message, underlyingError: error))
    case .file(let url, _): try container.encode(url, forKey: .url)
    case .encoded(let data, _): try container.encode(data, forKey: .data)
    case .pixels(let pixels, let width, let height, let rowStride, let format):
      try container.encode(pixels, forKey: .pixels)
      try container.encode(width, forKey: .width)
      try container.encode(height, forKey: .height)
      try container.encode(rowStride, forKey: .rowStride)
      try container.encode(format.rawValue, forKey: .format)
    case .samples(let samples, let channels, let sampleRate):
      try container.encode(Self.data(samples), forKey: .samples)
      try container.encode(channels, forKey: .channels)
      try container.encode(sampleRate, forKey: .sampleRate)
    case .frames(let frames, let times):
      try container.encode(frames, forKey: .frames)
      try container.encode(times, forKey: .times)
    case .split(let source, let split):
      try container.encode(source, forKey: .of)
      try container.encode(split, forKey: .split)
    case .budget(let source, let most):
      try container.encode(source, forKey: .of)
      try container.encode(most, forKey: .softTokens)
    case .panAndScan(let source, let on):
      try container.encode(source, forKey: .of)
      try container.encode(on, forKey: .panAndScan)
    case .pixelRange(let source, let range):
      try container.encode(source, forKey: .of)
      try container.encode(range, forKey: .pixelRange)
    }
  }

  /// Four bytes a sample, the lowest first.
  private static func data(_ samples: [Float]) -> Data {
    samples.map(\.bitPattern.littleEndian).withUnsafeBytes { Data($0) }
  }

  private static func floats(_ data: Data) -> [Float] {
    let bytes = [UInt8](data)
    return stride(from: 0, to: bytes.count / 4 * 4, by: 4).map { at in
      Float(bitPattern: (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[at + $1]) << (8 * UInt32($1)) })
    }
  }
}

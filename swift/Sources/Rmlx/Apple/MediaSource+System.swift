import Foundation

#if canImport(ImageIO) && canImport(AVFAudio)
  import AVFAudio
  import CoreGraphics
  import ImageIO

  extension MediaSource {
    /// What the system makes of data in a format that the library does not decode; nil for every other format.
    static func systemDecoded(
      _ data: Data, _ kind: Kind, _ limits: MediaLimits
    ) throws(RmlxError) -> MediaSource? {
      guard let format = SystemFormat(data, kind) else { return nil }
      return switch format {
      case .heic, .avif: try picture(data, format, limits)
      case .m4a, .caf, .aiff: try sound(data, format, limits)
      }
    }

    private static func picture(
      _ data: Data, _ format: SystemFormat, _ limits: MediaLimits
    ) throws(RmlxError) -> MediaSource {
      let options = [kCGImageSourceShouldCache: false] as CFDictionary
      guard let source = CGImageSourceCreateWithData(data as CFData, options) else { throw undecodable(format) }
      // A burst or a Live Photo has several; the first one is what is shown of most.
      let index = CGImageSourceGetPrimaryImageIndex(source)
      guard let image = CGImageSourceCreateImageAtIndex(source, index, options) else { throw undecodable(format) }
      // Nothing of it is decoded yet.
      let pixels = image.width * image.height
      if let most = limits.maxPixels, pixels > most {
        throw RmlxError(.invalidMedia, "the image has \(pixels) pixels, and at most \(most) are allowed")
      }
      let properties = CGImageSourceCopyPropertiesAtIndex(source, index, options) as? [CFString: Any]
      let orientation = properties?[kCGImagePropertyOrientation] as? UInt32
      return try ImageInput.drawn(image, orientation: orientation ?? 1).source
    }

    private static func sound(
      _ data: Data, _ format: SystemFormat, _ limits: MediaLimits
    ) throws(RmlxError) -> MediaSource {
      // AVFAudio reads files only, and looks at their names.
      let url = FileManager.default.temporaryDirectory
        .appendingPathComponent("rmlx-\(UUID().uuidString).\(format.rawValue)")
      defer { try? FileManager.default.removeItem(at: url) }
      do {
        try data.write(to: url)
        let file = try AVAudioFile(forReading: url)
        let seconds = Double(file.length) / file.processingFormat.sampleRate
        if let most = limits.maxSeconds, seconds > Double(most) {
          throw RmlxError(.invalidMedia, "the sound has \(seconds) seconds, and at most \(most) are allowed")
        }
        return try AudioInput(file).source
      } catch {
        throw (error as? RmlxError) ?? undecodable(format, error.localizedDescription)
      }
    }

    private static func undecodable(_ format: SystemFormat, _ reason: String = "it is damaged") -> RmlxError {
      RmlxError(
        .invalidMedia, "the system cannot decode the \(format.rawValue.uppercased()) data: \(reason)",
        details: ["format": .string(format.rawValue)])
    }
  }
#else
  extension MediaSource {
    static func systemDecoded(
      _ data: Data, _ kind: Kind, _ limits: MediaLimits
    ) throws(RmlxError) -> MediaSource? { nil }
  }
#endif

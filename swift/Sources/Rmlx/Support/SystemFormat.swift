import Foundation

/// A format that the library does not decode, and that the system may: those that iPhones take photos and record in.
enum SystemFormat: String {
  case heic
  case avif
  case m4a
  case caf
  case aiff

  /// Looks at the first bytes of a file. Nil for every other format, also for those that the library decodes.
  init?(_ data: Data, _ kind: MediaSource.Kind) {
    // Boxes, as in MP4: what is in them, the brand tells.
    let brand = Self.brand(data)
    if kind == .image {
      switch brand {
      case "avif", "avis": self = .avif
      case "heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "mif2", "msf1": self = .heic
      default: return nil
      }
      return
    }
    let head = String(decoding: data.prefix(12), as: UTF8.self)
    if brand != nil {
      self = .m4a
    } else if head.hasPrefix("caff") {
      self = .caf
    } else if head.hasPrefix("FORM") && (head.hasSuffix("AIFF") || head.hasSuffix("AIFC")) {
      self = .aiff
    } else {
      return nil
    }
  }

  /// What a file of boxes says it is: it begins with a box of its own length, called `ftyp`.
  private static func brand(_ data: Data) -> String? {
    let head = [UInt8](data.prefix(12))
    guard head.count == 12, head[4..<8].elementsEqual("ftyp".utf8) else { return nil }
    return String(decoding: head[8..<12], as: UTF8.self)
  }
}

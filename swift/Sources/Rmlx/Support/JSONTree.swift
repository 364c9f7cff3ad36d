/// A value of JSON that keeps the order of members and the spelling of numbers, as far as a text of it goes.
indirect enum JSONTree: Sendable {
  case null
  case bool(Bool)
  case number(String)
  case string(String)
  case array([JSONTree])
  case object([(name: String, value: JSONTree)])

  /// The member of an object; nil if it has none of that name, or this is no object. Of two, the last one counts.
  subscript(name: String) -> JSONTree? {
    if case .object(let members) = self { members.last { $0.name == name }?.value } else { nil }
  }

  /// The value as text on one line.
  var text: String {
    switch self {
    case .null: "null"
    case .bool(let bool): bool ? "true" : "false"
    case .number(let digits): digits
    case .string(let string): Self.quoted(string)
    case .array(let items): "[" + items.map(\.text).joined(separator: ",") + "]"
    case .object(let members):
      "{" + members.map { Self.quoted($0.name) + ":" + $0.value.text }.joined(separator: ",") + "}"
    }
  }

  private static func quoted(_ string: String) -> String {
    var text = "\""
    for scalar in string.unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case "\n": text += "\\n"
      case "\r": text += "\\r"
      case "\t": text += "\\t"
      case "\0"..<" ":
        let digits = String(scalar.value, radix: 16)
        text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: text.unicodeScalars.append(scalar)
      }
    }
    return text + "\""
  }

  /// Reads a text; nil if it is not JSON.
  init?(_ text: String) {
    var reader = JSONReader(text)
    guard let value = reader.whole() else { return nil }
    self = value
  }

  /// Reads the beginning of a text whose end is still to come: what is whole, and the strings, arrays and objects that have
  /// begun. Nil before anything is known, and for what is not the beginning of JSON.
  init?(beginning text: String) {
    var reader = JSONReader(text)
    guard case .value(let value, _)? = reader.value(depth: 0) else { return nil }
    self = value
  }
}

/// Reads JSON, also where the text breaks off.
private struct JSONReader {
  /// What was read. `isWhole` is false where the text broke off within it.
  enum Read {
    case value(JSONTree, isWhole: Bool)
    /// The text broke off before there was a value.
    case nothing
  }

  /// Deeper values are refused, so that no text can exhaust the stack.
  private static let deepest = 128

  private let bytes: [UInt8]
  private var place = 0

  init(_ text: String) {
    bytes = Array(text.utf8)
  }

  /// A value, with nothing after it; nil if it is not that.
  mutating func whole() -> JSONTree? {
    guard case .value(let value, true)? = value(depth: 0) else { return nil }
    skipBlanks()
    return place == bytes.count ? value : nil
  }

  /// Nil for what is not the beginning of JSON.
  mutating func value(depth: Int) -> Read? {
    skipBlanks()
    guard depth < Self.deepest else { return nil }
    guard let first = peek else { return .nothing }
    switch first {
    case UInt8(ascii: "{"): return object(depth)
    case UInt8(ascii: "["): return array(depth)
    case UInt8(ascii: "\""): return string().map { .value(.string($0.text), isWhole: $0.isWhole) }
    case UInt8(ascii: "t"): return word("true", .bool(true))
    case UInt8(ascii: "f"): return word("false", .bool(false))
    case UInt8(ascii: "n"): return word("null", .null)
    default: return number()
    }
  }

  private var peek: UInt8? { place < bytes.count ? bytes[place] : nil }

  private mutating func skipBlanks() {
    while let byte = peek, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { place += 1 }
  }

  private mutating func take(_ byte: Unicode.Scalar) -> Bool {
    guard peek == UInt8(ascii: byte) else { return false }
    place += 1
    return true
  }

  private mutating func word(_ word: String, _ value: JSONTree) -> Read? {
    for byte in word.utf8 {
      guard let next = peek else { return .nothing }
      guard next == byte else { return nil }
      place += 1
    }
    return .value(value, isWhole: true)
  }

  /// A number at the end of the text may have further digits to come: it is whole, but nobody relies on it.
  private mutating func number() -> Read? {
    let start = place
    while let byte = peek, "+-.0123456789eE".utf8.contains(byte) { place += 1 }
    let digits = String(decoding: bytes[start..<place], as: UTF8.self)
    if place == bytes.count && start > 0 { return digits.isEmpty ? nil : .nothing }
    return Double(digits) == nil ? nil : .value(.number(digits), isWhole: true)
  }

  private mutating func array(_ depth: Int) -> Read? {
    place += 1
    var items: [JSONTree] = []
    skipBlanks()
    if take("]") { return .value(.array(items), isWhole: true) }
    while true {
      guard let read = value(depth: depth + 1) else { return nil }
      guard case .value(let item, let isWhole) = read else { break }
      items.append(item)
      skipBlanks()
      if !isWhole || peek == nil { break }
      if take("]") { return .value(.array(items), isWhole: true) }
      guard take(",") else { return nil }
    }
    return .value(.array(items), isWhole: false)
  }

  private mutating func object(_ depth: Int) -> Read? {
    place += 1
    var members: [(name: String, value: JSONTree)] = []
    skipBlanks()
    if take("}") { return .value(.object(members), isWhole: true) }
    while true {
      skipBlanks()
      if peek == nil { break }
      guard peek == UInt8(ascii: "\""), let name = string() else { return nil }
      skipBlanks()
      if !name.isWhole || peek == nil { break }
      guard take(":"), let read = value(depth: depth + 1) else { return nil }
      guard case .value(let value, let isWhole) = read else { break }
      members.append((name.text, value))
      skipBlanks()
      if !isWhole || peek == nil { break }
      if take("}") { return .value(.object(members), isWhole: true) }
      guard take(",") else { return nil }
    }
    return .value(.object(members), isWhole: false)
  }

  private mutating func string() -> (text: String, isWhole: Bool)? {
    place += 1
    var text: [UInt8] = []
    while let byte = peek {
      place += 1
      switch byte {
      case UInt8(ascii: "\""): return (String(decoding: text, as: UTF8.self), true)
      case 0..<0x20: return nil
      case UInt8(ascii: "\\"):
        guard peek != nil else { return (String(decoding: text, as: UTF8.self), false) }
        switch escape() {
        case .scalar(let scalar): text.append(contentsOf: String(scalar).utf8)
        case .cut: return (String(decoding: text, as: UTF8.self), false)
        case .wrong: return nil
        }
      default: text.append(byte)
      }
    }
    return (String(decoding: text, as: UTF8.self), false)
  }

  private enum Escape {
    case scalar(Unicode.Scalar)
    case cut
    case wrong
  }

  private mutating func escape() -> Escape {
    let byte = bytes[place]
    place += 1
    switch byte {
    case UInt8(ascii: "\""): return .scalar("\"")
    case UInt8(ascii: "\\"): return .scalar("\\")
    case UInt8(ascii: "/"): return .scalar("/")
    case UInt8(ascii: "b"): return .scalar("\u{8}")
    case UInt8(ascii: "f"): return .scalar("\u{c}")
    case UInt8(ascii: "n"): return .scalar("\n")
    case UInt8(ascii: "r"): return .scalar("\r")
    case UInt8(ascii: "t"): return .scalar("\t")
    case UInt8(ascii: "u"): return codePoint()
    default: return .wrong
    }
  }

  /// One unit of UTF-16 or two. Half of a pair stands for no character.
  private mutating func codePoint() -> Escape {
    guard place + 4 <= bytes.count else { return .cut }
    guard let high = unit(at: place) else { return .wrong }
    place += 4
    if let scalar = Unicode.Scalar(high) { return .scalar(scalar) }
    guard high < 0xDC00 else { return .scalar("\u{FFFD}") }
    guard place + 6 <= bytes.count else { return .cut }
    guard bytes[place] == UInt8(ascii: "\\"), bytes[place + 1] == UInt8(ascii: "u"), let low = unit(at: place + 2),
      (0xDC00..<0xE000).contains(low)
    else { return .scalar("\u{FFFD}") }
    place += 6
    let value = 0x10000 + (high - 0xD800) << 10 + (low - 0xDC00)
    return .scalar(Unicode.Scalar(value) ?? "\u{FFFD}")
  }

  private func unit(at place: Int) -> UInt32? {
    let digits = bytes[place..<place + 4]
    guard digits.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }) else { return nil }
    return UInt32(String(decoding: digits, as: UTF8.self), radix: 16)
  }
}

import CRmlx

/// Options of this package that have an object of the C library.
protocol RawOptions {
  static func make() -> OpaquePointer?
  static func release(_ raw: OpaquePointer)

  /// Sets what is not nil.
  func apply(to raw: OpaquePointer) throws(RmlxError)
}

extension RawOptions {
  /// Makes the C library's options, which are gone after the use.
  func withRaw<Result>(_ use: (OpaquePointer) throws(RmlxError) -> Result) throws(RmlxError) -> Result {
    guard let raw = Self.make() else { throw RmlxError(.panic, "no options could be made") }
    defer { Self.release(raw) }
    try apply(to: raw)
    return try use(raw)
  }
}

typealias Setter<Value> = (OpaquePointer?, Value, UnsafeMutablePointer<OpaquePointer?>?) -> rmlx_status

/// Calls the setter if there is a value.
func set<Value>(_ value: Value?, in options: OpaquePointer, _ setter: Setter<Value>) throws(RmlxError) {
  if let value {
    try check { error in setter(options, value, error) }
  }
}

func set(_ value: Double?, in options: OpaquePointer, _ setter: Setter<Float>) throws(RmlxError) {
  try set(value.map { Float($0) }, in: options, setter)
}

/// Counts are `Int` in Swift and may not be negative; one that C has no place for is refused here, as C refuses one out of
/// range.
func set<Number: FixedWidthInteger>(
  _ value: Int?, _ name: String, in options: OpaquePointer, _ setter: Setter<Number>
) throws(RmlxError) {
  if let value {
    let number: Number = try count(value, name)
    try check { error in setter(options, number, error) }
  }
}

/// A count as C has it.
func count<Number: FixedWidthInteger>(_ value: Int, _ name: String) throws(RmlxError) -> Number {
  guard value >= 0, let number = Number(exactly: value) else {
    throw RmlxError(
      .invalidArgument, "\(name) is \(value), and must be from 0 to \(Number.max)",
      details: ["argument": .string(name)])
  }
  return number
}

/// Hands a text's bytes to the setter.
func set(
  text: String, in options: OpaquePointer,
  _ setter: (OpaquePointer?, UnsafePointer<CChar>?, Int, UnsafeMutablePointer<OpaquePointer?>?) -> rmlx_status
) throws(RmlxError) {
  try check { error in withUTF8(text) { setter(options, $0, $1, error) } }
}

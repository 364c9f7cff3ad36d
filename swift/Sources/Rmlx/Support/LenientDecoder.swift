import Foundation

/// Decodes values of whatever there is of a text of JSON, and notes what they are made of.
///
/// What is missing, or not what is expected, becomes a value that stands for nothing: "", 0, false, an empty list, nil, or
/// the first case of an enumeration. So the beginning of an answer becomes a value of the answer's type, and of no text at
/// all a schema can be made by looking at what a type asks for.
final class LenientDecoder: Decoder {
  let codingPath: [any CodingKey]
  let userInfo: [CodingUserInfoKey: Any] = [:]

  fileprivate let tree: JSONTree?
  /// Whether a schema is wanted: then optional values are decoded, too.
  fileprivate let isProbing: Bool
  /// The types that are being decoded, the outermost first.
  fileprivate let types: [any Any.Type]
  fileprivate var shape = Shape.unknown
  /// The properties that need not be there.
  fileprivate var optional: Set<String> = []

  /// What was asked for.
  fileprivate enum Shape {
    case unknown
    case value(JSONSchema)
    case list(JSONSchema?)
    case object([Property])
  }

  fileprivate struct Property {
    let name: String
    let schema: JSONSchema
    let isRequired: Bool
  }

  fileprivate init(_ tree: JSONTree?, isProbing: Bool, path: [any CodingKey], types: [any Any.Type]) {
    self.tree = tree
    self.isProbing = isProbing
    codingPath = path
    self.types = types
  }

  /// Decodes what there is of a value.
  static func decode<Value: Decodable>(_ type: Value.Type, from tree: JSONTree?) throws -> Value {
    try LenientDecoder(tree, isProbing: false, path: [], types: []).value(type, at: tree, path: []).value
  }

  /// The schema of what a type decodes.
  static func schema<Value: Decodable>(of type: Value.Type) throws(RmlxError) -> JSONSchema {
    let decoder = LenientDecoder(nil, isProbing: true, path: [], types: [])
    do {
      return try decoder.value(type, at: nil, path: []).schema ?? JSONSchema([])
    } catch let error as RmlxError {
      throw error
    } catch {
      throw RmlxError(
        .noSchema,
        "no schema can be made of \(type): \(error). Enumerations have to be CaseIterable, with texts or numbers as raw "
          + "values; for other types, write the schema with JSONSchema's functions")
    }
  }

  func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedDecodingContainer<Key> {
    if case .object = shape {} else { shape = .object([]) }
    return KeyedDecodingContainer(LenientObject(decoder: self))
  }

  func unkeyedContainer() -> any UnkeyedDecodingContainer {
    shape = .list(nil)
    return LenientList(decoder: self)
  }

  func singleValueContainer() -> any SingleValueDecodingContainer {
    LenientValue(decoder: self)
  }

  /// What was noted, as a schema; nil for a type that asked for nothing.
  fileprivate func schema() -> JSONSchema? {
    switch shape {
    case .unknown: nil
    case .value(let schema): schema
    case .list(let items): items.map { .array(of: $0) }
    case .object(let properties):
      .object(
        properties.map { ($0.name, $0.schema) }, optional: Set(properties.filter { !$0.isRequired }.map(\.name)))
    }
  }

  fileprivate func note(_ property: Property) {
    guard case .object(var properties) = shape else { return }
    if properties.contains(where: { $0.name == property.name }) { return }
    properties.append(property)
    shape = .object(properties)
  }

  fileprivate func noteItem(_ schema: JSONSchema?) {
    if case .list(nil) = shape { shape = .list(schema) }
  }

  fileprivate func noteValue(_ schema: JSONSchema?) {
    if let schema { shape = .value(schema) }
  }

  fileprivate func unknown(_ what: String) -> DecodingError {
    .dataCorrupted(.init(codingPath: codingPath, debugDescription: "\(what) are not looked into"))
  }

  /// A value of a place in the tree, and its schema if one is wanted.
  fileprivate func value<Value: Decodable>(
    _ type: Value.Type, at tree: JSONTree?, path: [any CodingKey]
  ) throws -> (value: Value, schema: JSONSchema?) {
    if let (value, schema) = Leaf.decode(type, from: tree) { return (value, schema) }
    if isProbing {
      if types.contains(where: { $0 == type }) {
        throw RmlxError(.noSchema, "\(type) contains itself: write its schema with JSONSchema's functions")
      }
      if let dictionary = type as? any StringDictionary.Type, let empty = dictionary.empty as? Value {
        return (empty, .dictionary(of: try dictionary.schemaOfValues()))
      }
    }
    let decoder = LenientDecoder(tree, isProbing: isProbing, path: path, types: types + [type])
    let value = try Value(from: decoder)
    guard isProbing else { return (value, nil) }
    // The outermost one is asked for what it has no schema of its own for.
    if !types.isEmpty, let own = type as? any Schematic.Type { return (value, try own.schema) }
    return (value, decoder.schema())
  }
}

/// Dictionaries look for the names that there are, and ask for nothing where there are none.
private protocol StringDictionary {
  static var empty: Self { get }
  static func schemaOfValues() throws(RmlxError) -> JSONSchema
}

extension Dictionary: StringDictionary where Key == String, Value: Decodable {
  fileprivate static var empty: Self { [:] }

  fileprivate static func schemaOfValues() throws(RmlxError) -> JSONSchema { try JSONSchema(of: Value.self) }
}

/// Types that have a schema of their own.
private enum Leaf {
  static func decode<Value: Decodable>(_ type: Value.Type, from tree: JSONTree?) -> (Value, JSONSchema)? {
    if let (schema, empty) = known(type) {
      return (strict(type, tree) ?? empty, schema)
    }
    if let cases = type as? any CaseIterable.Type, let (first, schema) = enumeration(cases), let first = first as? Value
    {
      return (strict(type, tree) ?? first, schema)
    }
    return nil
  }

  private static func strict<Value: Decodable>(_ type: Value.Type, _ tree: JSONTree?) -> Value? {
    guard let tree else { return nil }
    return try? JSONDecoder.ofAnswers.decode(type, from: Data(tree.text.utf8))
  }

  /// What `JSONDecoder` reads: no parts of seconds, and no zone but UTC.
  private static let dates =
    "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z$"

  private static func known<Value>(_ type: Value.Type) -> (JSONSchema, Value)? {
    let pair: (JSONSchema, Any)? =
      switch type {
      case is String.Type: (.string(), "")
      case is Bool.Type: (.boolean(), false)
      case is Double.Type: (.number(), 0.0)
      case is Float.Type: (.number(), Float(0))
      case is Decimal.Type: (.number(), Decimal(0))
      case is Date.Type: (.string(pattern: dates), Date(timeIntervalSince1970: 0))
      case is UUID.Type: (.string(format: "uuid"), UUID(uuid: (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)))
      case is URL.Type: (.string(format: "uri"), URL(fileURLWithPath: "/"))
      case is Data.Type: (.string(pattern: "^[A-Za-z0-9+/]*={0,2}$"), Data())
      case is JSONValue.Type: (JSONSchema([]), JSONValue.null)
      default: (type as? any FixedWidthInteger.Type).map { integer($0) }
      }
    return pair.flatMap { schema, empty in (empty as? Value).map { (schema, $0) } }
  }

  private static func integer<Number: FixedWidthInteger>(_ type: Number.Type) -> (JSONSchema, Any) {
    let isSmall = Number.bitWidth < 64
    let bounds: [(String, JSONTree?)] = [
      ("minimum", isSmall || !Number.isSigned ? .number("\(Number.min)") : nil),
      ("maximum", isSmall ? .number("\(Number.max)") : nil),
    ]
    return (JSONSchema([("type", .string("integer"))] + bounds), Number(0))
  }

  /// The first case, and the values that there are.
  private static func enumeration<Cases: CaseIterable>(_ type: Cases.Type) -> (Any, JSONSchema)? {
    let all = Array(type.allCases)
    guard let first = all.first else { return nil }
    let values = all.compactMap { ($0 as? any RawRepresentable)?.rawValue }
    if let texts = values as? [String], texts.count == all.count { return (first, .oneOf(texts)) }
    let numbers = values.compactMap { ($0 as? any BinaryInteger).map { JSONTree.number("\($0)") } }
    guard numbers.count == all.count else { return nil }
    return (first, JSONSchema([("type", .string("integer")), ("enum", .array(numbers))]))
  }
}

private struct LenientObject<Key: CodingKey>: KeyedDecodingContainerProtocol {
  let decoder: LenientDecoder

  var codingPath: [any CodingKey] { decoder.codingPath }

  var allKeys: [Key] {
    guard case .object(let members)? = decoder.tree else { return [] }
    return members.compactMap { Key(stringValue: $0.name) }
  }

  func contains(_ key: Key) -> Bool { decoder.isProbing || decoder.tree?[key.stringValue] != nil }

  func decodeNil(forKey key: Key) -> Bool {
    if decoder.isProbing {
      // What may be null is asked for only by values that need not be there.
      decoder.optional.insert(key.stringValue)
      return false
    }
    guard let value = decoder.tree?[key.stringValue] else { return true }
    if case .null = value { return true }
    return false
  }

  func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value {
    let tree = decoder.tree?[key.stringValue]
    let (value, schema) = try decoder.value(type, at: tree, path: codingPath + [key])
    if let schema {
      let isRequired = !decoder.optional.contains(key.stringValue)
      decoder.note(.init(name: key.stringValue, schema: schema, isRequired: isRequired))
    }
    return value
  }

  func nestedContainer<Nested: CodingKey>(
    keyedBy type: Nested.Type, forKey key: Key
  ) throws -> KeyedDecodingContainer<Nested> {
    throw decoder.unknown("nested containers")
  }

  func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
    throw decoder.unknown("nested containers")
  }

  func superDecoder() throws -> any Decoder { throw decoder.unknown("superclasses") }

  func superDecoder(forKey key: Key) throws -> any Decoder { throw decoder.unknown("superclasses") }
}

private struct LenientList: UnkeyedDecodingContainer {
  let decoder: LenientDecoder
  private let items: [JSONTree?]
  private(set) var currentIndex = 0

  init(decoder: LenientDecoder) {
    self.decoder = decoder
    // One item is enough to see what they are made of.
    if case .array(let items)? = decoder.tree { self.items = items } else { items = decoder.isProbing ? [nil] : [] }
  }

  var codingPath: [any CodingKey] { decoder.codingPath }
  var count: Int? { items.count }
  var isAtEnd: Bool { currentIndex >= items.count }

  mutating func decodeNil() throws -> Bool {
    guard !isAtEnd, case .null? = items[currentIndex] else { return false }
    currentIndex += 1
    return true
  }

  mutating func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
    let (value, schema) = try decoder.value(type, at: isAtEnd ? nil : items[currentIndex], path: codingPath)
    currentIndex += 1
    decoder.noteItem(schema)
    return value
  }

  mutating func nestedContainer<Nested: CodingKey>(
    keyedBy type: Nested.Type
  ) throws -> KeyedDecodingContainer<Nested> {
    throw decoder.unknown("nested containers")
  }

  mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
    throw decoder.unknown("nested containers")
  }

  mutating func superDecoder() throws -> any Decoder { throw decoder.unknown("superclasses") }
}

private struct LenientValue: SingleValueDecodingContainer {
  let decoder: LenientDecoder

  var codingPath: [any CodingKey] { decoder.codingPath }

  func decodeNil() -> Bool {
    if decoder.isProbing { return false }
    guard let tree = decoder.tree else { return true }
    if case .null = tree { return true }
    return false
  }

  func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
    let (value, schema) = try decoder.value(type, at: decoder.tree, path: codingPath)
    decoder.noteValue(schema)
    return value
  }
}

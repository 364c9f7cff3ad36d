/// What a value of JSON is to look like.
///
/// Schemas are made of types (``init(of:)``), or of one another:
///
///     let recipe: JSONSchema = .object([
///       ("title", .string("What the dish is called.")),
///       ("minutes", .integer("How long it takes.", in: 1...600)),
///       ("steps", .array(of: .string())),
///     ])
public struct JSONSchema: Hashable, Sendable, CustomStringConvertible {
  private var members: [Member]

  private struct Member: Hashable, Sendable {
    let name: String
    /// The text of a value of JSON.
    let json: String
  }

  /// A schema of the text of a JSON object; nil if it is not that.
  ///
  /// Properties are in the order that a member "x-order" beside them lists, as in the schemas of FoundationModels, or else in
  /// that of the text. Models write them in this order.
  public init?(json: String) {
    guard case .object(let members)? = JSONTree(json)?.inOrder else { return nil }
    self.init(members.map { ($0.name, $0.value) })
  }

  init(_ members: [(String, JSONTree?)]) {
    self.members = members.compactMap { name, value in value.map { Member(name: name, json: $0.text) } }
  }

  private init(_ type: String, _ description: String?, _ members: [(String, JSONTree?)] = []) {
    self.init([("type", .string(type)), ("description", description.map(JSONTree.string))] + members)
  }

  /// The schema as the text of a JSON object; its members, and the properties of objects, are in the order that they were given in.
  public var json: String { tree.text }

  /// The schema as the text of a JSON object.
  public var description: String { json }

  var tree: JSONTree { .object(members.map { ($0.name, JSONTree($0.json) ?? .null) }) }

  /// A text. `pattern` is a regular expression that it has to match, and `format` one of JSON Schema's, such as `date`.
  public static func string(
    _ description: String? = nil, pattern: String? = nil, format: String? = nil
  ) -> JSONSchema {
    JSONSchema(
      "string", description, [("pattern", pattern.map(JSONTree.string)), ("format", format.map(JSONTree.string))])
  }

  /// One of these texts.
  public static func oneOf(_ texts: [String], _ description: String? = nil) -> JSONSchema {
    JSONSchema("string", description, [("enum", .array(texts.map(JSONTree.string)))])
  }

  /// A whole number.
  public static func integer(_ description: String? = nil, in range: ClosedRange<Int>? = nil) -> JSONSchema {
    JSONSchema(
      "integer", description,
      [("minimum", range.map { .number("\($0.lowerBound)") }), ("maximum", range.map { .number("\($0.upperBound)") })])
  }

  /// A number.
  public static func number(_ description: String? = nil, in range: ClosedRange<Double>? = nil) -> JSONSchema {
    JSONSchema(
      "number", description,
      [("minimum", range.map { .number("\($0.lowerBound)") }), ("maximum", range.map { .number("\($0.upperBound)") })])
  }

  /// True or false.
  public static func boolean(_ description: String? = nil) -> JSONSchema {
    JSONSchema("boolean", description)
  }

  /// Values in order, as many as `count` allows.
  public static func array(
    of items: JSONSchema, _ description: String? = nil, count: ClosedRange<Int>? = nil
  ) -> JSONSchema {
    JSONSchema(
      "array", description,
      [
        ("items", items.tree), ("minItems", count.map { .number("\($0.lowerBound)") }),
        ("maxItems", count.map { .number("\($0.upperBound)") }),
      ])
  }

  /// An object of these properties and no others. All that `optional` does not name must be there.
  public static func object(
    _ properties: [(name: String, schema: JSONSchema)], _ description: String? = nil, optional: Set<String> = []
  ) -> JSONSchema {
    let required = properties.map(\.name).filter { !optional.contains($0) }
    return JSONSchema(
      "object", description,
      [
        ("properties", .object(properties.map { ($0.name, $0.schema.tree) })),
        ("required", required.isEmpty ? nil : .array(required.map(JSONTree.string))),
        ("additionalProperties", .bool(false)),
      ])
  }

  /// An object of any names, with values of one kind.
  public static func dictionary(of values: JSONSchema, _ description: String? = nil) -> JSONSchema {
    JSONSchema("object", description, [("additionalProperties", values.tree)])
  }

  /// What one of these allows.
  public static func anyOf(_ schemas: [JSONSchema]) -> JSONSchema {
    JSONSchema([("anyOf", .array(schemas.map(\.tree)))])
  }

  /// The same with a description, in place of one that it has.
  public func described(_ description: String) -> JSONSchema {
    var schema = self
    schema.members.removeAll { $0.name == "description" }
    let place = schema.members.first?.name == "type" ? 1 : 0
    schema.members.insert(Member(name: "description", json: JSONTree.string(description).text), at: place)
    return schema
  }
}

extension JSONTree {
  /// The same with properties in the order that "x-order" beside them lists, and without that.
  fileprivate var inOrder: JSONTree {
    switch self {
    case .array(let items): return .array(items.map(\.inOrder))
    case .object(var members):
      if case .array(let order)? = self["x-order"], case .object(let properties)? = self["properties"] {
        members.removeAll { $0.name == "x-order" }
        for index in members.indices where members[index].name == "properties" {
          members[index].value = .object(Self.sort(properties, by: order.map(\.text)))
        }
      }
      return .object(members.map { ($0.name, $0.value.inOrder) })
    default: return self
    }
  }

  /// What the order does not list comes last, as it was.
  private static func sort(
    _ properties: [(name: String, value: JSONTree)], by order: [String]
  ) -> [(name: String, value: JSONTree)] {
    let places = properties.enumerated().map { index, property in
      (order.firstIndex(of: JSONTree.string(property.name).text) ?? order.count, index)
    }
    return properties.indices.sorted { places[$0] < places[$1] }.map { properties[$0] }
  }
}

extension JSONSchema {
  /// The schema of what a type decodes: of its properties in their order, of their types, and of theirs.
  ///
  /// Optional properties need not be there. Enumerations are those that are `CaseIterable` and have texts or whole numbers
  /// as raw values. A type that is ``Schematic`` says more of itself.
  ///
  /// - Throws: ``RmlxError/Code/noSchema`` for a type that contains itself, has superclasses or nested containers, or cannot
  ///   be made of empty values.
  public init(of type: (some Decodable).Type) throws(RmlxError) {
    if let own = type as? any Schematic.Type {
      self = try own.schema
    } else {
      self = try LenientDecoder.schema(of: type)
    }
  }

  /// The same with descriptions of these properties of an object.
  func describing(_ descriptions: [String: String]) throws(RmlxError) -> JSONSchema {
    if descriptions.isEmpty { return self }
    guard case .object(let properties)? = tree["properties"] else {
      throw RmlxError(.noSchema, "descriptions of properties, and no properties: \(json)")
    }
    let names = Set(properties.map(\.name))
    if let wrong = descriptions.keys.sorted().first(where: { !names.contains($0) }) {
      throw RmlxError(.noSchema, "there is no property \(wrong) to describe among \(names.sorted())")
    }
    let described = properties.map { property in
      guard let text = descriptions[property.name], case .object(let members) = property.value else { return property }
      return (property.name, JSONSchema(members.map { ($0.name, $0.value) }).described(text).tree)
    }
    var schema = self
    guard let place = schema.members.firstIndex(where: { $0.name == "properties" }) else { return self }
    schema.members[place] = Member(name: "properties", json: JSONTree.object(described).text)
    return schema
  }
}

/// A type that says what its properties mean, for models that write its values.
///
///     struct Recipe: Codable, Schematic {
///       var title: String
///       var minutes: Int
///
///       static let descriptions = ["minutes": "How long it takes, with all preparations."]
///     }
public protocol Schematic: Decodable {
  /// What properties mean, by their names in JSON. None by default.
  static var descriptions: [String: String] { get }

  /// What values look like. By default what they decode, with the descriptions.
  static var schema: JSONSchema { get throws(RmlxError) }
}

extension Schematic {
  /// None.
  public static var descriptions: [String: String] { [:] }

  /// What values decode, with the descriptions.
  public static var schema: JSONSchema {
    get throws(RmlxError) { try LenientDecoder.schema(of: Self.self).describing(descriptions) }
  }
}

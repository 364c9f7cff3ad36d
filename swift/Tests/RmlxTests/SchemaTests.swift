import Foundation
import Testing

@testable import Rmlx

/// Types tell what their values look like.
@Suite struct SchemaTests {
  enum Course: String, Codable, CaseIterable { case starter, main, dessert }
  enum Stars: Int, Codable, CaseIterable { case one = 1, two }

  struct Step: Codable, Schematic {
    var text: String
    var minutes: Int?

    static let descriptions = ["text": "What is to be done."]
  }

  struct Recipe: Codable, Equatable {
    var title: String
    var course: Course
    var stars: Stars
    var steps: [Step]
    var vegan: Bool?
    var weight: Double
    var amounts: [String: Float]
    var first: Step?
    var id: UUID
    var day: Date
    var small: UInt8
    var note: String?

    static func == (one: Recipe, other: Recipe) -> Bool { one.id == other.id && one.title == other.title }
  }

  struct Endless: Codable { var next: [Endless] }
  enum Odd: String, Codable { case a, b }
  struct HasOdd: Codable { var odd: Odd }
  class Base: Codable {}

  @Test func schemasAreMadeOfTypes() throws {
    let dates = "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z$"
    #expect(try JSONSchema(of: UInt64.self).json == #"{"type":"integer","minimum":0}"#)
    #expect(try JSONDecoder.ofAnswers.decode([Date].self, from: Data(#"["2026-01-31T23:59:59Z"]"#.utf8)).count == 1)
    let step =
      #"{"type":"object","properties":{"text":{"type":"string","description":"What is to be done."},"minutes":{"type":"integer"}},"required":["text"],"additionalProperties":false}"#
    #expect(try JSONSchema(of: Step.self).json == step)
    #expect(
      try JSONSchema(of: Recipe.self).json == #"{"type":"object","properties":{"title":{"type":"string"},"#
        + #""course":{"type":"string","enum":["starter","main","dessert"]},"stars":{"type":"integer","enum":[1,2]},"#
        + #""steps":{"type":"array","items":\#(step)},"vegan":{"type":"boolean"},"weight":{"type":"number"},"#
        + #""amounts":{"type":"object","additionalProperties":{"type":"number"}},"first":\#(step),"#
        + #""id":{"type":"string","format":"uuid"},"day":{"type":"string","pattern":\#(JSONTree.string(dates).text)},"#
        + #""small":{"type":"integer","minimum":0,"maximum":255},"note":{"type":"string"}},"#
        + #""required":["title","course","stars","steps","weight","amounts","id","day","small"],"additionalProperties":false}"#
    )
    #expect(try JSONSchema(of: [Int].self).json == #"{"type":"array","items":{"type":"integer"}}"#)
    #expect(try JSONSchema(of: String.self) == .string())
  }

  @Test func typesThatHaveNoneSayWhy() {
    for type in [Endless.self, HasOdd.self] as [any Decodable.Type] {
      #expect { try JSONSchema(of: type) } throws: { ($0 as? RmlxError)?.code == .noSchema }
    }
    #expect { try JSONSchema(of: HasOdd.self) } throws: { "\($0)".contains("CaseIterable") }
    struct Wrong: Schematic {
      var a: Int
      static let descriptions = ["b": "There is none."]
    }
    #expect { try JSONSchema(of: Wrong.self) } throws: { "\($0)".contains("no property b") }
  }

  @Test func schemasAreMadeByHand() {
    let schema: JSONSchema = .object(
      [
        ("name", .string("Whose?", pattern: "^[A-Z]")), ("age", .integer(in: 0...150)), ("kind", .oneOf(["a", "b"])),
        ("tags", .array(of: .string(), count: 1...3)), ("more", .anyOf([.boolean(), .number(in: 0...0.5)])),
      ], optional: ["more"])
    #expect(
      schema.json
        == #"{"type":"object","properties":{"name":{"type":"string","description":"Whose?","pattern":"^[A-Z]"},"#
        + #""age":{"type":"integer","minimum":0,"maximum":150},"kind":{"type":"string","enum":["a","b"]},"#
        + #""tags":{"type":"array","items":{"type":"string"},"minItems":1,"maxItems":3},"#
        + #""more":{"anyOf":[{"type":"boolean"},{"type":"number","minimum":0.0,"maximum":0.5}]}},"#
        + #""required":["name","age","kind","tags"],"additionalProperties":false}"#)
    #expect(JSONSchema(json: schema.json) == schema && JSONSchema(json: "[]") == nil)
    #expect(JSONSchema.boolean("a").described("b") == .boolean("b"))
  }

  @Test func textsOfJSONAreReadAndWritten() throws {
    let text = #"{"b":[1,-2.50e3,true,null],"a":"x\"\\\n\u0001é😀","c":{}}"#
    #expect(JSONTree(text)?.text == text)
    #expect(JSONTree(#""\ud83d\ude00\/\u00e9""#)?.text == #""😀/é""#)
    for wrong in ["", "{", "[1,]", #"{"a" 1}"#, "01x", "tru", #""\x""#, "1 2", #"{"a":1,}"#, "\"\n\""] {
      #expect(JSONTree(wrong) == nil, "\(wrong)")
    }
    #expect(JSONTree(String(repeating: "[", count: 100_000)) == nil)
  }

  @Test func beginningsAreWhatIsThereOfThem() {
    let whole = #"{"title":"So\"up","steps":[{"text":"Cut.","minutes":12},{"text":"Boil."}],"vegan":true}"#
    let expected: [(String, String?)] = [
      ("", nil), ("{", "{}"), (#"{"ti"#, "{}"), (#"{"title":"#, "{}"), (#"{"title":"So"#, #"{"title":"So"}"#),
      (#"{"title":"So\"#, #"{"title":"So"}"#), (#"{"title":"a","n":1"#, #"{"title":"a"}"#),
      (#"{"title":"a","n":1,"#, #"{"title":"a","n":1}"#), (#"{"a":[tr"#, #"{"a":[]}"#),
      (#"{"a":[{"b":"c"#, #"{"a":[{"b":"c"}]}"#),
      (#"x"#, nil),
    ]
    for (text, tree) in expected { #expect(JSONTree(beginning: text)?.text == tree, "\(text)") }
    for end in whole.indices.dropFirst() { #expect(JSONTree(beginning: String(whole[..<end])) != nil) }
    #expect(JSONTree(beginning: whole)?.text == whole)
  }

  @Test func beginningsBecomeValues() throws {
    let text = #"{"title":"Soup","course":"dess","steps":[{"text":"Cut.","minutes":12},{"te"#
    let recipe = try LenientDecoder.decode(Recipe.self, from: JSONTree(beginning: text))
    #expect(recipe.title == "Soup" && recipe.course == .starter && recipe.stars == .one && recipe.vegan == nil)
    #expect(recipe.steps.map(\.text) == ["Cut.", ""] && recipe.steps[0].minutes == 12 && recipe.first == nil)
    #expect(recipe.amounts.isEmpty && recipe.weight == 0)
  }

  @Test func propertiesHaveTheOrderThatTheSchemaLists() {
    let text = #"""
      {"x-order": ["b", "a"], "type": "object", "properties": {"a": {}, "c": {"properties": {"x": {}, "y": {}},
      "x-order": ["y", "x"]}, "b": {"items": {"x-order": "no list"}}, "x-order": {"type": "integer"}}}
      """#
    let expected =
      #"{"type":"object","properties":{"b":{"items":{"x-order":"no list"}},"a":{},"c":{"properties":{"y":{},"x":{}}},"#
      + #""x-order":{"type":"integer"}}}"#
    #expect(JSONSchema(json: text)?.json == expected)
  }
}

import CRmlx

extension GenerationOptions {
  /// What an answer has to look like, whatever the model would rather say.
  ///
  /// Thoughts are free.
  public struct Constraint: Hashable, Sendable {
    private let kind: rmlx_constraint_kind
    private let text: String

    private init(_ kind: rmlx_constraint_kind, _ text: String) {
      self.kind = kind
      self.text = text
    }

    /// JSON of this schema.
    public static func json(_ schema: JSONSchema) -> Constraint { Constraint(RMLX_CONSTRAINT_JSON_SCHEMA, schema.json) }
    /// A text that matches a regular expression, from its beginning to its end.
    public static func regex(_ pattern: String) -> Constraint { Constraint(RMLX_CONSTRAINT_REGEX, pattern) }
    /// A text of a grammar in Lark's notation.
    public static func lark(_ grammar: String) -> Constraint { Constraint(RMLX_CONSTRAINT_LARK, grammar) }
    /// One of these texts.
    public static func oneOf(_ texts: [String]) -> Constraint {
      Constraint(RMLX_CONSTRAINT_CHOICE, JSONTree.array(texts.map(JSONTree.string)).text)
    }

    func apply(to raw: OpaquePointer) throws(RmlxError) {
      try set(text: text, in: raw) { rmlx_generation_options_set_constraint($0, kind, $1, $2, $3) }
    }
  }

  /// Whether the model calls tools.
  public struct ToolChoice: Hashable, Sendable {
    private let kind: rmlx_tool_choice
    private let name: String?

    private init(_ kind: rmlx_tool_choice, name: String? = nil) {
      self.kind = kind
      self.name = name
    }

    /// As it likes.
    public static let automatic = ToolChoice(RMLX_TOOL_CHOICE_AUTO)
    /// Not at all.
    public static let never = ToolChoice(RMLX_TOOL_CHOICE_NONE)
    /// One at least.
    public static let required = ToolChoice(RMLX_TOOL_CHOICE_REQUIRED)
    /// This one.
    public static func named(_ name: String) -> ToolChoice { ToolChoice(RMLX_TOOL_CHOICE_NAMED, name: name) }

    /// Whether there is a call, and no answer beside it.
    var demandsCall: Bool { kind == RMLX_TOOL_CHOICE_REQUIRED || kind == RMLX_TOOL_CHOICE_NAMED }

    func apply(to raw: OpaquePointer) throws(RmlxError) {
      try check { error in rmlx_generation_options_set_tool_choice(raw, kind, name, error) }
    }
  }
}

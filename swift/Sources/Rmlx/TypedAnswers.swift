import Foundation

extension Session {
  /// Answers a conversation with a value.
  ///
  /// The answer is constrained to the schema of the type (``JSONSchema/init(of:)``), so that it is always one, unless it is
  /// cut off. The model is not told of the schema: say in the prompt what the properties are to be, or interpolate the schema.
  ///
  /// - Throws: What going through the events throws; ``RmlxError/Code/noSchema`` for a type without a schema;
  ///   ``RmlxError/Code/unreadableAnswer`` for an answer that was cut off, whose text is in the error's details.
  public func respond<Value: Decodable & Sendable>(
    to prompt: Prompt, as type: Value.Type, options: GenerationOptions = GenerationOptions()
  ) async throws(RmlxError) -> Value {
    try await respond(to: prompt, options: options.constrained(to: type)).value(as: type)
  }

  /// Answers a text with a value.
  @_disfavoredOverload
  public func respond<Value: Decodable & Sendable>(
    to text: String, as type: Value.Type, options: GenerationOptions = GenerationOptions()
  ) async throws(RmlxError) -> Value {
    try await respond(to: Prompt(text), as: type, options: options)
  }
}

extension Conversation {
  /// Asks a question, and waits for an answer that is a value.
  ///
  /// The answer is constrained to the schema of the type (``JSONSchema/init(of:)``), so that it is always one, unless it is
  /// cut off. The model is not told of the schema: say in the question what the properties are to be, or interpolate the
  /// schema.
  ///
  /// - Throws: What answers throw; ``RmlxError/Code/noSchema`` for a type without a schema;
  ///   ``RmlxError/Code/unreadableAnswer`` for an answer that was cut off, which is part of the conversation all the same.
  public func respond<Value: Decodable & Sendable>(
    to question: Content?, as type: Value.Type, options: GenerationOptions? = nil
  ) async throws -> Value {
    let options = try (options ?? self.options).constrained(to: type)
    return try await respond(to: question, options: options).value(as: type)
  }

  /// Asks a question, and waits for an answer that is a value.
  @_disfavoredOverload
  public func respond<Value: Decodable & Sendable>(
    to question: String, as type: Value.Type, options: GenerationOptions? = nil
  ) async throws -> Value {
    try await respond(to: Content(question), as: type, options: options)
  }

  /// Asks a question; the answer is a value, which comes as far as it is made.
  ///
  ///     for try await recipe in conversation.stream("How do I make pancakes?", as: Recipe.self) {
  ///       show(recipe)
  ///     }
  ///
  /// What has not been said yet is empty in a value: "", 0, false, an empty list, nil, or the first case of an enumeration.
  /// The last value is whole. The sequence throws what `respond` throws.
  public func stream<Value: Decodable & Sendable>(
    _ question: Content?, as type: Value.Type, options: GenerationOptions? = nil
  ) -> PartialValues<Value> {
    PartialValues(conversation: self, question: question, options: options ?? self.options)
  }

  /// Asks a question; the answer is a value, which comes as far as it is made.
  @_disfavoredOverload
  public func stream<Value: Decodable & Sendable>(
    _ question: String, as type: Value.Type, options: GenerationOptions? = nil
  ) -> PartialValues<Value> {
    stream(Content(question), as: type, options: options)
  }
}

extension Response {
  /// Reads the text of an answer, which is JSON, as a value.
  ///
  /// - Throws: ``RmlxError/Code/unreadableAnswer``.
  public func value<Value: Decodable>(as type: Value.Type) throws(RmlxError) -> Value {
    try Draft.value(of: text, as: type, reason)
  }
}

extension Draft {
  static func value<Value: Decodable>(
    of text: String, as type: Value.Type, _ reason: Event.Finish.Reason
  ) throws(RmlxError) -> Value {
    do {
      return try JSONDecoder.ofAnswers.decode(type, from: Data(text.utf8))
    } catch {
      throw RmlxError(
        .unreadableAnswer, "the answer is no \(type), and ended because of \(reason): \(error)",
        details: ["text": .string(text), "reason": .string("\(reason)")])
    }
  }
}

extension GenerationOptions {
  fileprivate func constrained(to type: (some Decodable).Type) throws(RmlxError) -> GenerationOptions {
    var options = self
    options.constraint = .json(try JSONSchema(of: type))
    return options
  }
}

/// The answer of a ``Conversation`` as a value, which comes as far as it is made.
public struct PartialValues<Value: Decodable & Sendable>: AsyncSequence, Sendable {
  /// What it delivers.
  public typealias Element = Value

  let conversation: Conversation
  let question: Content?
  let options: GenerationOptions

  /// Asks the question, with the first call of `next`.
  public func makeAsyncIterator() -> Iterator {
    Iterator(values: self)
  }

  /// Goes through one answer. Letting go of it stops the model.
  public struct Iterator: AsyncIteratorProtocol {
    /// What it delivers.
    public typealias Element = Value

    private let values: PartialValues
    private var events: Reply.Iterator?
    private var text = ""
    /// The value that was delivered last, as text.
    private var delivered = ""

    fileprivate init(values: PartialValues) {
      self.values = values
    }

    /// The value as far as it is made; nil after the whole one.
    public mutating func next() async throws -> Value? {
      while let event = try await begun().next() {
        // What was said before tools were run is no part of the value.
        if event.kind == .toolResult { text = "" }
        text += event.text ?? ""
        if let finish = event.finish { return try Draft.value(of: text, as: Value.self, finish.reason) }
        if event.text != nil, let value = beginning() { return value }
      }
      return nil
    }

    private mutating func begun() throws -> Reply.Iterator {
      if let events { return events }
      let options = try values.options.constrained(to: Value.self)
      let begun = values.conversation.stream(values.question, options: options).makeAsyncIterator()
      events = begun
      return begun
    }

    /// What there is of the value, if there is more than before.
    private mutating func beginning() -> Value? {
      guard let tree = JSONTree(beginning: text), tree.text != delivered else { return nil }
      guard let value = try? LenientDecoder.decode(Value.self, from: tree) else { return nil }
      delivered = tree.text
      return value
    }
  }
}

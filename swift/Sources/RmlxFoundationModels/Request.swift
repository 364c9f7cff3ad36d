#if canImport(FoundationModels, _version: 2)
  import Foundation
  import FoundationModels
  import Rmlx

  @available(iOS 27.0, macOS 27.0, *)
  extension Rmlx.Prompt {
    /// The conversation of a request, with the tools that the model may call.
    init(_ request: LanguageModelExecutorGenerationRequest, of model: RmlxLanguageModel) throws {
      self.init()
      for entry in request.transcript {
        if let message = try Message(entry, of: model) { add(message) }
      }
      tools = try request.enabledToolDefinitions.map(ToolDeclaration.init)
      if let schema = try request.answerSchema, request.contextOptions.includeSchemaInPrompt != false {
        ask(for: schema)
      }
    }

    /// A transcript has an entry for each thought, text and list of calls of one turn, which is one message.
    private mutating func add(_ message: Message) {
      guard message.role == .assistant, let last = messages.last, last.role == .assistant else {
        return messages.append(message)
      }
      var whole = last
      whole.content.parts += message.content.parts
      whole.toolCalls += message.toolCalls
      if let thought = message.reasoning { whole.reasoning = (whole.reasoning ?? "") + thought }
      messages[messages.count - 1] = whole
    }

    /// Asks for an answer of that form, at the end of what was said last by whoever is not the model.
    private mutating func ask(for schema: JSONSchema) {
      let request = "Answer with JSON of this schema, and with nothing else: \(schema.json)"
      if let last = messages.lastIndex(where: { $0.role == .user }) {
        messages[last].content.parts.append(.text("\n\n" + request))
      } else {
        messages.append(.user(request))
      }
    }
  }

  @available(iOS 27.0, macOS 27.0, *)
  extension Message {
    /// Nil for an entry of a kind that this version does not know.
    fileprivate init?(_ entry: Transcript.Entry, of model: RmlxLanguageModel) throws {
      func content(_ segments: [Transcript.Segment]) throws -> Content {
        try Content(segments, entry, seen: model.capabilities.contains(.vision))
      }
      switch entry {
      case .instructions(let instructions): self = .system(try content(instructions.segments))
      case .prompt(let prompt): self = .user(try content(prompt.segments))
      case .response(let response): self = .assistant(try content(response.segments))
      case .reasoning(let reasoning):
        self = .assistant([], reasoning: try content(reasoning.segments).text)
      case .toolCalls(let calls):
        let calls = calls.map { ToolCall(id: $0.id, name: $0.toolName, arguments: $0.arguments.jsonString) }
        self = .assistant([], toolCalls: calls)
      case .toolOutput(let output):
        // An output has the id of its call.
        let call = ToolCall(id: output.id, name: output.toolName)
        if output.segments.count == 1, case .structure(let structure)? = output.segments.first {
          self = .tool([.json(structure.content.jsonString)], for: call)
        } else {
          self = .tool(try content(output.segments), for: call)
        }
      default: return nil
      }
    }
  }

  @available(iOS 27.0, macOS 27.0, *)
  extension Content {
    fileprivate init(_ segments: [Transcript.Segment], _ entry: Transcript.Entry, seen: Bool) throws {
      self.init([])
      for segment in segments {
        switch segment {
        case .text(let text): add(text.content)
        case .structure(let structure): add(structure.content.jsonString)
        case .attachment(let attachment):
          guard case .image(let image) = attachment.content else { throw Self.unsupported(entry, "this attachment") }
          guard seen else {
            throw LanguageModelError.unsupportedCapability(
              .init(capability: .vision, debugDescription: "the model does not see, and the transcript has an image"))
          }
          parts.append(.image(try ImageInput(image)))
        default: throw Self.unsupported(entry, "this kind of segment")
        }
      }
    }

    /// Texts that stand beside one another are paragraphs.
    private mutating func add(_ text: String) {
      if parts.last?.text != nil { parts.append(.text("\n")) }
      parts.append(.text(text))
    }

    private static func unsupported(_ entry: Transcript.Entry, _ what: String) -> LanguageModelError {
      .unsupportedTranscriptContent(
        .init(unsupportedContent: [entry], debugDescription: "rmlx cannot show \(what) to a model"))
    }
  }

  @available(iOS 27.0, macOS 27.0, *)
  extension ImageInput {
    fileprivate init(_ image: Transcript.ImageAttachment) throws {
      #if canImport(CoreGraphics)
        try self.init(image.cgImage, orientation: image.orientation)
      #else
        guard let url = image.url else { throw RmlxError(.unsupported, "an image without a URL cannot be read here") }
        self.init(url: url)
      #endif
    }
  }

  @available(iOS 27.0, macOS 27.0, *)
  extension ToolDeclaration {
    fileprivate init(_ tool: Transcript.ToolDefinition) throws {
      self.init(name: tool.name, description: tool.description, parameters: try JSONSchema(tool.parameters))
    }
  }

  @available(iOS 27.0, macOS 27.0, *)
  extension JSONSchema {
    fileprivate init(_ schema: GenerationSchema) throws {
      let encoder = JSONEncoder()
      // The same text each time, so that what was evaluated of it is found again.
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      let json = String(decoding: try encoder.encode(schema), as: UTF8.self)
      guard let schema = JSONSchema(json: json) else {
        throw RmlxError(.noSchema, "a schema is no JSON object: \(json)")
      }
      self = schema
    }
  }

  @available(iOS 27.0, macOS 27.0, *)
  extension LanguageModelExecutorGenerationRequest {
    /// What the answer is held to; nil also where a tool has to be called, as nothing is answered there.
    fileprivate var answerSchema: JSONSchema? {
      get throws { generationOptions.toolCallingMode?.kind == .required ? nil : try schema.map(JSONSchema.init) }
    }
  }

  @available(iOS 27.0, macOS 27.0, *)
  extension Rmlx.GenerationOptions {
    /// What the request leaves open comes from the snapshot.
    init(_ request: LanguageModelExecutorGenerationRequest) throws {
      let options = request.generationOptions
      self.init(maxTokens: options.maximumResponseTokens, temperature: options.temperature)
      switch options.samplingMode?.kind {
      case .greedy: temperature = 0
      case .randomTopK(let most, let seed):
        topK = most
        self.seed = seed.map(Int.init(truncatingIfNeeded:))
      case .randomProbabilityThreshold(let threshold, let seed):
        topP = threshold
        self.seed = seed.map(Int.init(truncatingIfNeeded:))
      default: break
      }
      let hasTools = !request.enabledToolDefinitions.isEmpty
      switch options.toolCallingMode?.kind {
      case .required: toolChoice = .required
      case .disallowed: toolChoice = hasTools ? .never : nil
      default: break
      }
      constraint = try request.answerSchema.map { .json($0) }
      switch request.contextOptions.reasoningLevel {
      case .none: break
      case .custom("no_think"): thinking = false
      default: thinking = true
      }
    }
  }

  /// FoundationModels' own error where it has one for this.
  @available(iOS 27.0, macOS 27.0, *)
  func translated(_ error: any Error, _ request: LanguageModelExecutorGenerationRequest) -> any Error {
    guard let error = error as? RmlxError else { return error }
    func number(_ name: String) -> Int { Int(error.details[name]?.number ?? 0) }
    switch error.code {
    case .cancelled: return CancellationError()
    case .contextFull:
      return LanguageModelError.contextSizeExceeded(
        .init(
          contextSize: number("context_length"), tokenCount: number("prompt_tokens"),
          debugDescription: error.message))
    case .invalidArgument where error.details["constraint"] != nil:
      return LanguageModelError.unsupportedGenerationGuide(
        .init(schemaName: nil, debugDescription: error.message))
    case .unsupported where error.details["option"]?.string == "tool_choice":
      return LanguageModelError.unsupportedCapability(
        .init(capability: .toolCalling, debugDescription: error.message))
    case .invalidMedia, .invalidPrompt:
      return LanguageModelError.unsupportedTranscriptContent(
        .init(unsupportedContent: Array(request.transcript), debugDescription: error.message))
    default: return error
    }
  }
#endif

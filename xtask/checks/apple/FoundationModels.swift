// Stands in for FoundationModels where there is none: the declarations that RmlxFoundationModels uses, and what the check
// needs to make a request and to see what was sent.
//
// Beside each is the page of Apple's documentation that it is from, under
// https://developer.apple.com/documentation/foundationmodels/, read as of the SDK 27.1. A second source is Apple's own
// adapter in https://github.com/ml-explore/mlx-swift-lm, Libraries/MLXFoundationModels: it names what no page was found of,
// marked "adapter". `nonisolated(nonsending)`, which `respond` and `send` have there, is not known to Swift 6.0.

import Foundation

#if canImport(CoreGraphics)
  import CoreGraphics
  import ImageIO
#endif

/// languagemodel, languagemodel/executor, languagemodel/capabilities, languagemodel/executorconfiguration
public protocol LanguageModel: Sendable {
  associatedtype Executor: LanguageModelExecutor where Self == Self.Executor.Model
  var capabilities: LanguageModelCapabilities { get }
  var executorConfiguration: Self.Executor.Configuration { get }
}

/// languagemodelexecutor and its /configuration, /model, /init(configuration:), /prewarm(model:transcript:) and
/// /respond(to:model:streaminginto:)
public protocol LanguageModelExecutor: Sendable {
  associatedtype Configuration: Hashable, Sendable
  associatedtype Model: LanguageModel
  init(configuration: Self.Configuration) throws
  func prewarm(model: Self.Model, transcript: Transcript)
  func respond(
    to request: LanguageModelExecutorGenerationRequest, model: Self.Model,
    streamingInto channel: LanguageModelExecutorGenerationChannel
  ) async throws
}

extension LanguageModelExecutor {
  /// languagemodelexecutor/prewarm(model:transcript:): "The default implementation is a no-op."
  public func prewarm(model: Self.Model, transcript: Transcript) {}
}

/// languagemodelexecutorgenerationrequest and its
/// /init(id:transcript:enabledtools:schema:generationoptions:contextoptions:metadata:)
public struct LanguageModelExecutorGenerationRequest: Sendable {
  public var id: UUID
  public var transcript: Transcript
  public var enabledToolDefinitions: [Transcript.ToolDefinition]
  public var schema: GenerationSchema?
  public var generationOptions: GenerationOptions
  public var contextOptions: ContextOptions

  public init(
    id: UUID, transcript: Transcript, enabledTools: [Transcript.ToolDefinition], schema: GenerationSchema? = nil,
    generationOptions: GenerationOptions, contextOptions: ContextOptions,
    metadata: [String: any ConvertibleToGeneratedContent]
  ) {
    (self.id, self.transcript, enabledToolDefinitions) = (id, transcript, enabledTools)
    (self.schema, self.generationOptions, self.contextOptions) = (schema, generationOptions, contextOptions)
  }
}

/// languagemodelcapabilities and languagemodelcapabilities/capability
public struct LanguageModelCapabilities: Sendable {
  public struct Capability: Hashable, Sendable {
    let name: String
    public static var guidedGeneration: Capability { Capability(name: "guidedGeneration") }
    public static var reasoning: Capability { Capability(name: "reasoning") }
    public static var toolCalling: Capability { Capability(name: "toolCalling") }
    public static var vision: Capability { Capability(name: "vision") }
  }
  let all: Set<Capability>
  public init(_ capabilities: [Capability]) { all = Set(capabilities) }
  public func contains(_ capability: Capability) -> Bool { all.contains(capability) }
}

/// languagemodelexecutorgenerationchannel, its /send(_:), and /event, /response, /reasoning, /toolcalls and /usage with
/// their pages. What was sent is stored for the check.
public struct LanguageModelExecutorGenerationChannel: Sendable {
  public struct Usage: Sendable {
    /// …/usage/input-swift.struct/init(totaltokencount:cachedtokencount:)
    public struct Input: Sendable {
      public var totalTokenCount: Int
      public var cachedTokenCount: Int
      public init(totalTokenCount: Int, cachedTokenCount: Int) {
        (self.totalTokenCount, self.cachedTokenCount) = (totalTokenCount, cachedTokenCount)
      }
    }
    /// …/usage/output-swift.struct/init(totaltokencount:reasoningtokencount:)
    public struct Output: Sendable {
      public var totalTokenCount: Int
      public var reasoningTokenCount: Int
      public init(totalTokenCount: Int, reasoningTokenCount: Int) {
        (self.totalTokenCount, self.reasoningTokenCount) = (totalTokenCount, reasoningTokenCount)
      }
    }
  }

  public struct Response: Sendable {
    /// …/response/action-swift.struct/appendtext(_:segmentid:tokencount:) and updateusage(input:output:metadata:)
    public struct Action: Sendable {
      let sent: Sent
      public static func appendText(_ text: String, segmentID: String? = nil, tokenCount: Int) -> Action {
        Action(sent: Sent(kind: "text", text: text, tokenCount: tokenCount))
      }
      public static func updateUsage(
        input: Usage.Input, output: Usage.Output, metadata: [String: any ConvertibleToGeneratedContent] = [:]
      ) -> Action {
        Action(sent: Sent(kind: "usage", input: input, output: output))
      }
    }
  }

  public struct Reasoning: Sendable {
    /// …/reasoning/action-swift.struct/appendtext(_:segmentid:tokencount:)
    public struct Action: Sendable {
      let sent: Sent
      public static func appendText(_ text: String, segmentID: String? = nil, tokenCount: Int) -> Action {
        Action(sent: Sent(kind: "reasoning", text: text, tokenCount: tokenCount))
      }
    }
  }

  public struct ToolCalls: Sendable {
    /// …/toolcalls/action-swift.struct/toolcall(id:name:action:) and updateusage(input:output:metadata:)
    public struct Action: Sendable {
      let sent: Sent
      public static func toolCall(id: String, name: String, action: ToolCall.Action) -> Action {
        var sent = action.sent
        (sent.id, sent.name) = (id, name)
        return Action(sent: sent)
      }
      public static func updateUsage(
        input: Usage.Input, output: Usage.Output, metadata: [String: any ConvertibleToGeneratedContent] = [:]
      ) -> Action {
        Action(sent: Sent(kind: "usage", input: input, output: output))
      }
    }
    public struct ToolCall: Sendable {
      /// …/toolcalls/toolcall/action-swift.struct/appendarguments(_:tokencount:)
      public struct Action: Sendable {
        let sent: Sent
        public static func appendArguments(_ content: String, tokenCount: Int) -> Action {
          Action(sent: Sent(kind: "call", text: content, tokenCount: tokenCount))
        }
      }
    }
  }

  /// …/event/response(entryid:action:), reasoning(entryid:action:) and toolcalls(entryid:action:)
  public struct Event: Sendable {
    let sent: Sent
    public static func response(entryID: String? = nil, action: Response.Action) -> Event {
      Event(sent: action.sent.at(entryID))
    }
    public static func reasoning(entryID: String? = nil, action: Reasoning.Action) -> Event {
      Event(sent: action.sent.at(entryID))
    }
    public static func toolCalls(entryID: String? = nil, action: ToolCalls.Action) -> Event {
      Event(sent: action.sent.at(entryID))
    }
  }

  public func send(_ event: Event) async { await log.add(event.sent) }

  // For the check only.
  public struct Sent: Sendable {
    public let kind: String
    public var text = ""
    public var tokenCount = 0
    public var entryID: String?
    public var id = ""
    public var name = ""
    public var input: Usage.Input?
    public var output: Usage.Output?

    func at(_ entryID: String?) -> Sent {
      var sent = self
      sent.entryID = entryID
      return sent
    }
  }
  public actor Log {
    public private(set) var all: [Sent] = []
    func add(_ sent: Sent) { all.append(sent) }
  }
  public let log = Log()
  public init() {}
}

/// convertibletogeneratedcontent
public protocol ConvertibleToGeneratedContent {}

/// generatedcontent, generatedcontent/init(json:) and generatedcontent/jsonstring
public struct GeneratedContent: Sendable, ConvertibleToGeneratedContent {
  public let jsonString: String
  public init(json: String) throws { jsonString = json }
}

/// generationschema, which is Codable; the adapter says that it is encoded as JSON Schema, and has one in its tests, in which
/// "x-order" lists the properties
public struct GenerationSchema: Sendable, Codable {
  // For the check only.
  public indirect enum Value: Sendable, Encodable {
    case number(Int)
    case text(String)
    case list([Value])
    case object([String: Value])

    public func encode(to encoder: any Encoder) throws {
      var container = encoder.singleValueContainer()
      switch self {
      case .number(let number): try container.encode(number)
      case .text(let text): try container.encode(text)
      case .list(let list): try container.encode(list)
      case .object(let object): try container.encode(object)
      }
    }
  }
  let members: [String: Value]
  public init(properties: KeyValuePairs<String, [String: Value]>) {
    let names = Value.list(properties.map { .text($0.key) })
    let types = properties.map { ($0.key, Value.object($0.value)) }
    members = [
      "type": .text("object"), "properties": .object(Dictionary(uniqueKeysWithValues: types)), "required": names,
      "x-order": names,
    ]
  }
  public init(from decoder: any Decoder) throws { fatalError() }
  public func encode(to encoder: any Encoder) throws { try members.encode(to: encoder) }
}

/// generationoptions and its /samplingmode-swift.property, /temperature, /maximumresponsetokens and
/// /toolcallingmode-swift.property
public struct GenerationOptions: Sendable {
  public struct SamplingMode: Sendable {
    /// adapter: the names of the cases; what they hold is by random(top:seed:) and random(probabilitythreshold:seed:)
    public enum Kind: Sendable {
      case greedy
      case randomTopK(Int, seed: UInt64?)
      case randomProbabilityThreshold(Double, seed: UInt64?)
    }
    /// generationoptions/samplingmode-swift.struct/kind-swift.property, /greedy and /random(top:seed:)
    public let kind: Kind
    public static var greedy: SamplingMode { SamplingMode(kind: .greedy) }
    public static func random(top k: Int, seed: UInt64? = nil) -> SamplingMode {
      SamplingMode(kind: .randomTopK(k, seed: seed))
    }
  }
  public struct ToolCallingMode: Sendable {
    /// adapter: the names of the cases
    public enum Kind: Sendable {
      case allowed, required, disallowed
    }
    /// generationoptions/toolcallingmode-swift.struct/kind-swift.property, /allowed, /required and /disallowed
    public var kind: Kind
    public static let allowed = ToolCallingMode(kind: .allowed)
    public static let required = ToolCallingMode(kind: .required)
    public static let disallowed = ToolCallingMode(kind: .disallowed)
  }
  public var samplingMode: SamplingMode?
  public var temperature: Double?
  public var maximumResponseTokens: Int?
  public var toolCallingMode: ToolCallingMode?
  public init(
    samplingMode: SamplingMode? = nil, temperature: Double? = nil, maximumResponseTokens: Int? = nil,
    toolCallingMode: ToolCallingMode?
  ) {
    (self.samplingMode, self.temperature) = (samplingMode, temperature)
    (self.maximumResponseTokens, self.toolCallingMode) = (maximumResponseTokens, toolCallingMode)
  }
}

/// contextoptions, its /init(includeschemainprompt:reasoninglevel:) and /reasoninglevel-swift.property
public struct ContextOptions: Sendable {
  /// contextoptions/reasoninglevel-swift.enum
  public enum ReasoningLevel: Sendable, Equatable {
    case light, moderate, deep
    case custom(String)
  }
  public var includeSchemaInPrompt: Bool?
  public var reasoningLevel: ReasoningLevel?
  public init(includeSchemaInPrompt: Bool? = nil, reasoningLevel: ReasoningLevel? = nil) {
    (self.includeSchemaInPrompt, self.reasoningLevel) = (includeSchemaInPrompt, reasoningLevel)
  }
}

/// transcript; adapter: it is a collection of its entries
public struct Transcript: Sendable, RandomAccessCollection {
  /// transcript/entry with its cases; adapter: `reasoning`
  public enum Entry: Sendable {
    case instructions(Instructions)
    case prompt(Prompt)
    case toolCalls(ToolCalls)
    case toolOutput(ToolOutput)
    case response(Response)
    case reasoning(Reasoning)
  }
  /// transcript/segment, /text(_:), /structure(_:) and /attachment(_:)
  public enum Segment: Sendable {
    case text(TextSegment)
    case structure(StructuredSegment)
    case attachment(AttachmentSegment)
  }
  /// transcript/textsegment
  public struct TextSegment: Sendable {
    public var content: String
    public init(content: String) { self.content = content }
  }
  /// transcript/structuredsegment and its /content
  public struct StructuredSegment: Sendable {
    public var content: GeneratedContent
    public init(content: GeneratedContent) { self.content = content }
  }
  /// transcript/attachmentsegment and its /content
  public struct AttachmentSegment: Sendable {
    public var content: Attachment
    public init(content: Attachment) { self.content = content }
  }
  /// transcript/attachment, /image(_:) and /data(_:)
  public enum Attachment: Sendable {
    case image(ImageAttachment)
    case data(DataAttachment)
  }
  /// transcript/attachment/data(_:)
  public struct DataAttachment: Sendable {
    public init() {}
  }
  /// transcript/imageattachment and its /cgimage, /orientation and /url
  public struct ImageAttachment: Sendable {
    public var url: URL? { imageURL }
    let imageURL: URL
    public init(imageURL: URL) { self.imageURL = imageURL }
    #if canImport(CoreGraphics)
      public var cgImage: CGImage { fatalError() }
      public var orientation: CGImagePropertyOrientation { fatalError() }
    #endif
  }
  /// transcript/instructions
  public struct Instructions: Sendable {
    public var segments: [Segment]
    public init(segments: [Segment]) { self.segments = segments }
  }
  /// transcript/prompt
  public struct Prompt: Sendable {
    public var segments: [Segment]
    public init(segments: [Segment]) { self.segments = segments }
  }
  /// transcript/response
  public struct Response: Sendable {
    public var segments: [Segment]
    public init(segments: [Segment]) { self.segments = segments }
  }
  /// transcript/reasoning and its /segments
  public struct Reasoning: Sendable {
    public var segments: [Segment]
    public init(segments: [Segment]) { self.segments = segments }
  }
  /// transcript/toolcall and its /toolname and /arguments
  public struct ToolCall: Sendable {
    public var id: String
    public var toolName: String
    public var arguments: GeneratedContent
    public init(id: String, toolName: String, arguments: GeneratedContent) {
      (self.id, self.toolName, self.arguments) = (id, toolName, arguments)
    }
  }
  /// transcript/toolcalls, a collection
  public struct ToolCalls: Sendable, RandomAccessCollection {
    let calls: [ToolCall]
    public init(_ calls: [ToolCall]) { self.calls = calls }
    public var startIndex: Int { 0 }
    public var endIndex: Int { calls.count }
    public subscript(index: Int) -> ToolCall { calls[index] }
  }
  /// transcript/tooloutput/segments; adapter: `id`, which is that of the call, and `toolName`
  public struct ToolOutput: Sendable {
    public var id: String
    public var toolName: String
    public var segments: [Segment]
    public init(id: String, toolName: String, segments: [Segment]) {
      (self.id, self.toolName, self.segments) = (id, toolName, segments)
    }
  }
  /// transcript/tooldefinition/description; adapter: `name` and `parameters`
  public struct ToolDefinition: Sendable {
    public var name: String
    public var description: String
    public var parameters: GenerationSchema
    public init(name: String, description: String, parameters: GenerationSchema) {
      (self.name, self.description, self.parameters) = (name, description, parameters)
    }
  }

  let entries: [Entry]
  public init(entries: [Entry]) { self.entries = entries }
  public var startIndex: Int { 0 }
  public var endIndex: Int { entries.count }
  public subscript(index: Int) -> Entry { entries[index] }
}

/// languagemodelerror and its cases; each holds what its page says
public enum LanguageModelError: Error {
  case contextSizeExceeded(ContextSizeExceeded)
  case unsupportedGenerationGuide(UnsupportedGenerationGuide)
  case unsupportedCapability(UnsupportedCapability)
  case unsupportedTranscriptContent(UnsupportedTranscriptContent)

  /// languagemodelerror/contextsizeexceeded/init(contextsize:tokencount:debugdescription:metadata:)
  public struct ContextSizeExceeded: Sendable {
    public var contextSize: Int
    public var tokenCount: Int
    public init(
      contextSize: Int, tokenCount: Int, debugDescription: String, metadata: [String: any Sendable] = [:]
    ) {
      (self.contextSize, self.tokenCount) = (contextSize, tokenCount)
    }
  }
  /// languagemodelerror/unsupportedgenerationguide/init(schemaname:debugdescription:metadata:)
  public struct UnsupportedGenerationGuide: Sendable {
    public var debugDescription: String
    public init(schemaName: String?, debugDescription: String, metadata: [String: any Sendable] = [:]) {
      self.debugDescription = debugDescription
    }
  }
  /// languagemodelerror/unsupportedcapability/init(capability:debugdescription:metadata:)
  public struct UnsupportedCapability: Sendable {
    public init(
      capability: LanguageModelCapabilities.Capability, debugDescription: String, metadata: [String: any Sendable] = [:]
    ) {}
  }
  /// languagemodelerror/unsupportedtranscriptcontent/init(unsupportedcontent:debugdescription:metadata:)
  public struct UnsupportedTranscriptContent: Sendable {
    public var unsupportedContent: [Transcript.Entry]
    public init(
      unsupportedContent: [Transcript.Entry], debugDescription: String, metadata: [String: any Sendable] = [:]
    ) {
      self.unsupportedContent = unsupportedContent
    }
  }
}

/// prompt and its /init(_:) of a text: one of the two names that Rmlx has, too; the other is that of the options
public struct Prompt: Sendable {
  // For the check only.
  public let text: String
  public init(_ text: String) { self.text = text }
}

/// languagemodelsession, its /init(model:tools:instructions:) and /respond(to:options:), as far as a program needs them to be
/// compiled; it answers nothing
public final class LanguageModelSession: Sendable {
  public struct Response<Content: Sendable>: Sendable {
    public let content: Content
  }
  public init(model: some LanguageModel, instructions: String? = nil) {}
  public func respond(
    to prompt: Prompt, options: GenerationOptions = GenerationOptions(toolCallingMode: nil)
  ) async throws -> Response<String> { fatalError() }
  public func respond(
    to prompt: String, options: GenerationOptions = GenerationOptions(toolCallingMode: nil)
  ) async throws -> Response<String> { fatalError() }
}

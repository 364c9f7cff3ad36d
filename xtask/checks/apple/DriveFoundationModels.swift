// Drives RmlxFoundationModels as a session of FoundationModels would: requests to the executor, of the demo model.

import Foundation
import FoundationModels
import Rmlx

@main
enum DriveFoundationModels {
  typealias Options = FoundationModels.GenerationOptions
  typealias Segment = Transcript.Segment

  static func main() async throws {
    let model = try await Model.load(at: URL(fileURLWithPath: "models/demo/bf16"))
    let adapter = try RmlxLanguageModel(model)
    print(adapter.capabilities.contains(.vision), adapter.executorConfiguration == adapter.executorConfiguration)
    let executor = try RmlxLanguageModel.Executor(configuration: adapter.executorConfiguration)
    let ask = { (entries: [Transcript.Entry], tools: Bool, options: Options) async throws in
      try await respond(executor, adapter, entries, tools: tools, options)
    }
    let greedy = Options(samplingMode: .greedy, toolCallingMode: nil)

    // A text, with instructions, and a picture.
    let instructions = Transcript.Entry.instructions(.init(segments: [text("Answer in capital letters.")]))
    print(try await ask([instructions, prompt(text("Name the capital of France."))], false, greedy).words)
    let picture = Segment.attachment(
      .init(content: .image(.init(imageURL: URL(fileURLWithPath: "models/demo/example.png")))))
    print(try await ask([prompt(picture, text("What colour is the circle?"))], false, greedy).words)

    // A tool is called, and its result told.
    var entries = [prompt(text("What time is it in Rome?"))]
    let asked = try await ask(entries, true, greedy)
    let call = asked.sent.first { $0.kind == "call" }
    print(call?.name ?? "no call", call?.text ?? "", asked.sent.last?.kind ?? "", asked.words.isEmpty)
    let arguments = try GeneratedContent(json: call?.text ?? "{}")
    let id = call?.id ?? ""
    entries.append(.toolCalls(.init([.init(id: id, toolName: "get_time", arguments: arguments)])))
    entries.append(.toolOutput(.init(id: id, toolName: "get_time", segments: [text("10:30")])))
    let told = try await ask(entries, true, greedy)
    let usage = told.sent.last
    print(told.words, (usage?.input?.cachedTokenCount ?? 0) > 0, usage?.output?.totalTokenCount ?? 0 > 0)
    print(try await ask([prompt(text("What time is it in Rome?"))], true, Options(toolCallingMode: .disallowed)).calls)

    // Every token is counted once, and an answer has one entry.
    let texts = told.sent.filter { $0.kind == "text" }
    print(Set(texts.map(\.entryID)).count, texts.map(\.tokenCount).reduce(0, +) <= usage?.output?.totalTokenCount ?? 0)

    // An answer has the form of its schema, whatever the model would say, and the properties their order.
    let rank: [String: GenerationSchema.Value] = ["type": .text("integer"), "minimum": .number(3), "maximum": .number(3)]
    let zone: [String: GenerationSchema.Value] = ["type": .text("string"), "enum": .list([.text("north")])]
    let schema = GenerationSchema(properties: ["zone": zone, "rank": rank])
    print(try await respond(executor, adapter, [prompt(text("Where?"))], schema: schema, greedy).words)
    for (isIncluded, tools) in [(true, false), (false, true)] {
      var asked = request([prompt(text("Where?"))], tools: tools, schema: schema)
      asked.contextOptions.includeSchemaInPrompt = isIncluded
      let formed = try Rmlx.Prompt(asked, of: adapter)
      print(formed.messages[0].text.hasPrefix("Where?\n\nAnswer with JSON"), formed.tools.count)
    }

    // A call is made where it is required, by the schema of its tool.
    let required = Options(samplingMode: .greedy, maximumResponseTokens: 64, toolCallingMode: .required)
    var forcing = request([prompt(text("What is the capital of France?"))], tools: true, schema: schema, required)
    forcing.enabledToolDefinitions[0].parameters = GenerationSchema(properties: ["zone": zone, "rank": rank])
    let forced = try await respond(executor, adapter, forcing)
    let made = forced.sent.first { $0.kind == "call" }
    print(made?.name ?? "no call", made?.text ?? "", forced.words)

    try await failures(executor, model, picture)
  }

  /// Errors are FoundationModels' own where it has them.
  static func failures(_ executor: RmlxLanguageModel.Executor, _ model: Model, _ picture: Segment) async throws {
    let adapter = try RmlxLanguageModel(model)
    let blind = try RmlxLanguageModel(model, capabilities: [])
    let long = prompt(text(String(repeating: "What colour? ", count: 40_000)))
    do {
      _ = try await respond(executor, adapter, [long])
    } catch LanguageModelError.contextSizeExceeded(let exceeded) {
      print(exceeded.tokenCount > exceeded.contextSize, exceeded.contextSize > 0)
    }
    do {
      _ = try await respond(executor, blind, [prompt(picture)])
    } catch LanguageModelError.unsupportedCapability {
      print("no images")
    }
    do {
      _ = try await respond(executor, adapter, [prompt(.attachment(.init(content: .data(.init()))))])
    } catch LanguageModelError.unsupportedTranscriptContent(let content) {
      print(content.unsupportedContent.count)
    }
    let ahead: [String: GenerationSchema.Value] = ["type": .text("string"), "pattern": .text("^(?=a)b$")]
    do {
      let schema = GenerationSchema(properties: ["text": ahead])
      _ = try await respond(executor, adapter, [prompt(text("Where?"))], schema: schema)
    } catch LanguageModelError.unsupportedGenerationGuide {
      print("no such guide")
    }
    let cancelled = Task { try await respond(executor, adapter, [prompt(text("Say something long."))]) }
    cancelled.cancel()
    do { print(try await cancelled.value.words) } catch { print(error is CancellationError) }
    // None of them has left the executor without a session.
    print(try await respond(executor, adapter, [prompt(text("What is the capital of France?"))]).words)
  }

  struct Answer: Sendable {
    let sent: [LanguageModelExecutorGenerationChannel.Sent]
    var words: String { sent.filter { $0.kind == "text" }.map(\.text).joined() }
    var calls: Int { sent.filter { $0.kind == "call" }.count }
  }

  static func respond(
    _ executor: RmlxLanguageModel.Executor, _ model: RmlxLanguageModel, _ entries: [Transcript.Entry],
    tools: Bool = false, schema: GenerationSchema? = nil, _ options: Options = Options(toolCallingMode: nil)
  ) async throws -> Answer {
    try await respond(executor, model, request(entries, tools: tools, schema: schema, options))
  }

  static func respond(
    _ executor: RmlxLanguageModel.Executor, _ model: RmlxLanguageModel, _ request: LanguageModelExecutorGenerationRequest
  ) async throws -> Answer {
    let channel = LanguageModelExecutorGenerationChannel()
    try await executor.respond(to: request, model: model, streamingInto: channel)
    return Answer(sent: await channel.log.all)
  }

  static func request(
    _ entries: [Transcript.Entry], tools: Bool = false, schema: GenerationSchema? = nil,
    _ options: Options = Options(toolCallingMode: nil)
  ) -> LanguageModelExecutorGenerationRequest {
    let getTime = Transcript.ToolDefinition(
      name: "get_time", description: "Tells the time in a city.",
      parameters: GenerationSchema(properties: ["city": ["type": .text("string")]]))
    return LanguageModelExecutorGenerationRequest(
      id: UUID(), transcript: Transcript(entries: entries), enabledTools: tools ? [getTime] : [], schema: schema,
      generationOptions: options, contextOptions: ContextOptions(), metadata: [:])
  }

  static func text(_ text: String) -> Segment { .text(.init(content: text)) }

  static func prompt(_ segments: Segment...) -> Transcript.Entry { .prompt(.init(segments: segments)) }
}

import Foundation
import Testing

@testable import Rmlx

/// What keeps an answer from repeating itself, and the host's own hand on the logits.
@Suite struct ProcessorTests {
  private struct Broken: Error {}

  /// Only this token is ever said.
  private func always(_ token: TokenID, _ seen: Locked<[Int]> = Locked([])) -> GenerationOptions {
    var options = endless
    options.maxTokens = 9
    options.logitsProcessor = .init { tokens, logits in
      seen.withLock { $0.append(tokens.count) }
      logits.update(repeating: -.infinity)
      logits[Int(token)] = 1
    }
    return options
  }

  private func tokens(_ session: Session, _ options: GenerationOptions) async throws -> [TokenID] {
    var all: [TokenID] = []
    for try await event in session.generate("Hello", options) { if let token = event.token { all.append(token.id) } }
    return all
  }

  @Test func aProcessorDecides() async throws {
    let model = try await Model.load(at: demo)
    let session = Session(model)
    let seen = Locked<[Int]>([])
    var options = always(40, seen)
    #expect(try await tokens(session, options) == Array(repeating: 40, count: 9))
    let first = try await model.countTokens("Hello")
    #expect(seen.withLock { $0 } == Array(first..<first + 9))
    options.loopDetection = .init(repeats: 3, longestRun: 8, minimumTokens: 0)
    let circle = try await session.respond(to: "Hello", options: options)
    #expect(circle.reason == .loop && circle.statistics.generatedTokens == 3 && "\(circle.reason)" == "loop")
    let copy = options
    #expect(copy == options && copy.hashValue == options.hashValue && always(40) != always(40))
  }

  @Test func whatAProcessorThrowsIsThrown() async throws {
    let session = Session(try await Model.load(at: demo))
    let own = RmlxError(.timeout, "own")
    let failures: [(any Error, RmlxError.Code)] = [
      (own, .timeout), (Broken(), .processorFailed), (CancellationError(), .cancelled),
    ]
    for (error, code) in failures {
      var options = GenerationOptions.greedy
      options.logitsProcessor = .init { _, _ in throw error }
      let asked = options
      let thrown = await failure { () async throws(RmlxError) in try await session.respond(to: "Hi", options: asked) }
      #expect(thrown?.code == code)
      #expect(code != .processorFailed || thrown?.message.contains("Broken") == true)
    }
    #expect("\(RmlxError.Code.processorFailed)" == "RMLX_PROCESSOR_FAILED")
    var wrong = GenerationOptions.greedy
    wrong.logitsProcessor = .init { _, logits in logits[3] = .nan }
    let options = wrong
    let error = await failure { () async throws(RmlxError) in try await session.respond(to: "Hi", options: options) }
    #expect(error?.code == .invalidArgument && error?.details["token"] == 3)
    let conversation = Conversation(try await Model.load(at: demo), options: wrong)
    await #expect(throws: RmlxError.self) { try await conversation.respond(to: "Hi") }
    #expect(conversation.messages.isEmpty)
    #expect(try await session.respond(to: "What is the capital of France?", options: .greedy).text == "Paris")
  }

  @Test func runsDoNotComeTwice() async throws {
    let session = Session(try await Model.load(at: demo))
    var options = endless
    options.maxTokens = 9
    options.noRepeatNgramSize = 1
    options.dry = .init(multiplier: 0.8, window: 64, breakers: ["\n"])
    let all = try await tokens(session, options)
    #expect(all.count == 9 && Set(all).count == 9)
    let wrong: [GenerationOptions] = [
      GenerationOptions(dry: .init(multiplier: -1)), GenerationOptions(dry: .init(base: 0.5)),
      GenerationOptions(dry: .init(allowedLength: 0)), GenerationOptions(dry: .init(breakers: [""])),
      GenerationOptions(dry: .init(window: -1)), GenerationOptions(noRepeatNgramSize: -1),
      GenerationOptions(loopDetection: .init(repeats: 1)), GenerationOptions(loopDetection: .init(longestRun: 0)),
      GenerationOptions(loopDetection: .init(minimumTokens: -1)),
    ]
    for options in wrong {
      let error = await failure { () async throws(RmlxError) in try await session.respond(to: "Hi", options: options) }
      #expect(error?.code == .invalidArgument, "\(options)")
    }
  }
}

/// How much media may ask for, and what of them is kept.
@Suite struct MediaLimitTests {
  private let file = root.appendingPathComponent("models/demo/example.png")
  private let sound = root.appendingPathComponent("models/demo/example.wav")

  @Test func whatAsksForTooMuchIsRefused() async throws {
    let refused = [
      ImageInput(url: file, limits: MediaLimits(maxPixels: 1)),
      ImageInput(data: try Data(contentsOf: file), limits: MediaLimits(maxBytes: 1)),
    ]
    for image in refused {
      let error = await failure { () async throws(RmlxError) in _ = try await image.size() }
      #expect(error?.code == .invalidMedia)
    }
    let fits = MediaLimits(maxPixels: 1 << 20, maxBytes: 1 << 24, maxSeconds: 60)
    #expect(try await ImageInput(url: file, limits: fits).size().width > 0)
    #expect(try await AudioInput(url: sound, limits: fits).byteCount() > 1000)
    #expect(ImageInput(url: file, limits: fits) != ImageInput(url: file))
    let error = await failure { () async throws(RmlxError) in
      try await AudioInput(url: sound, limits: MediaLimits(maxSeconds: -1)).duration()
    }
    #expect(error?.code == .invalidArgument && error?.details["argument"] == "maxSeconds")
  }

  @Test func aCancelledTaskDecodesNothing() async throws {
    let image = ImageInput(url: file)
    let task = Task {
      withUnsafeCurrentTask { $0?.cancel() }
      return try await image.size().width
    }
    let result = await task.result
    #expect { try result.get() } throws: { ($0 as? RmlxError)?.code == .cancelled }
    // For everybody else it is as if nothing had been.
    #expect(try await image.size().width > 0)
  }

  @Test func whatIsPreparedHoldsLessAndIsTheSame() async throws {
    let model = try await Model.load(at: demo)
    let photo = ImageInput(pixels: Data(repeating: 200, count: 600 * 400 * 3), width: 600, height: 400, format: .rgb8)
    let prepared = try await photo.prepared(for: model)
    #expect(try await prepared.byteCount() < photo.byteCount() && prepared == photo)
    let session = Session(model)
    _ = try await session.respond(to: "\(photo)What colour is it?", options: .greedy)
    let again = try await session.respond(to: "\(prepared)What colour is it?", options: .greedy)
    #expect(again.statistics.encodedMedia == 0)
    #expect(try await ImageInput(url: file).prepared(for: model).softTokens(70).size().width > 0)
    let video = VideoInput([.init(photo.softTokens(70), at: .zero), .init(photo, at: .seconds(1))])
    let small = try? await video.prepared(for: model)
    #expect(small == nil || small == video)
    model.close()
    let closed = await failure { () async throws(RmlxError) in try await photo.prepared(for: model) }
    #expect(closed?.code == .closed)
  }
}

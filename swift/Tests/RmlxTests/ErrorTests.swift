import Foundation
import Testing

@testable import Rmlx

/// Failures are typed values that say what was wrong.
@Suite struct ErrorTests {
  @Test func aMissingFolderIsNotFound() async {
    let folder = root.appendingPathComponent("there is no such folder")
    let error = await failure { () async throws(RmlxError) in try await Model.load(at: folder) }
    #expect(error?.code == .notFound)
    #expect(error?.message.contains("there is no such folder") == true)
    let inspected = await failure { () async throws(RmlxError) in try await Model.inspect(at: folder) }
    #expect(inspected?.code == .notFound)
    #expect("\(RmlxError.Code.notFound)" == "RMLX_ERROR_NOT_FOUND")
  }

  @Test func aBrokenSnapshotIsInvalid() async throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    try Data("{".utf8).write(to: folder.appendingPathComponent("config.json"))
    let error = await failure { () async throws(RmlxError) in try await Model.load(at: folder) }
    #expect(error?.code == .invalidSnapshot)
  }

  @Test func urlsOfTheNetworkAreRefused() async throws {
    let address = try #require(URL(string: "https://example.com/model"))
    let error = await failure { () async throws(RmlxError) in try await Model.load(at: address) }
    #expect(error?.code == .invalidArgument)
    let session = Session(try await Model.load(at: demo))
    let prompt: Prompt = "\(ImageInput(url: address))What is this?"
    let image = await failure { () async throws(RmlxError) in try await session.respond(to: prompt) }
    #expect(image?.code == .invalidArgument)
  }

  @Test func mediaThatCannotBeReadAreNamed() async throws {
    let session = Session(try await Model.load(at: demo))
    let prompts: [(Prompt, RmlxError.Code)] = [
      ("\(ImageInput(data: Data("no picture".utf8)))", .invalidMedia),
      ("\(ImageInput(data: Data()))", .invalidMedia),
      ("\(AudioInput(data: Data("no sound".utf8)))", .invalidMedia),
      ("\(ImageInput(url: root.appendingPathComponent("nothing.png")))", .notFound),
      ("\(AudioInput(samples: [0, 1, 0], channels: 2, sampleRate: 16_000))", .invalidArgument),
      ("\(AudioInput(samples: [.nan], sampleRate: 16_000))", .invalidMedia),
      ("\(ImageInput(pixels: Data(count: 10), width: 4, height: 4, format: .rgb8))", .invalidArgument),
      ("\(ImageInput(pixels: Data(count: 10), width: -4, height: 4, format: .rgb8))", .invalidArgument),
      ("\(picture.softTokens(0))", .invalidArgument),
      ("\(picture.softTokens(-1))", .invalidArgument),
      ("\(picture.softTokens(71))", .unsupported),
      ("\(picture.panAndScan())", .unsupported),
      ("\(picture.pixels(1024...4096))", .unsupported),
    ]
    for (prompt, code) in prompts {
      let error = await failure { () async throws(RmlxError) in try await session.respond(to: prompt) }
      #expect(error?.code == code, "\(String(describing: error))")
    }
    #expect(try await session.respond(to: "\(picture)What colour is the circle?", options: .greedy).text == "Red")
  }

  @Test func optionsOutOfRangeAreRefused() async throws {
    let model = try await Model.load(at: demo)
    let session = Session(model)
    let wrong = [
      GenerationOptions(temperature: -1), GenerationOptions(maxTokens: 0), GenerationOptions(maxTokens: -3),
      GenerationOptions(minP: 2), GenerationOptions(stop: [""]), GenerationOptions(topK: -1),
      GenerationOptions(thinkingBudget: 0), GenerationOptions(stopTokens: [.max]),
    ]
    for options in wrong {
      let error = await failure { () async throws(RmlxError) in try await session.respond(to: "Hi", options: options) }
      #expect(error?.code == .invalidArgument, "\(options)")
    }
    let cramped = Session(model, options: SessionOptions(contextLength: 4))
    let full = await failure { () async throws(RmlxError) in try await cramped.respond(to: "Hello") }
    #expect(full?.code == .contextFull)
    let none = Session(model, options: SessionOptions(contextLength: 0))
    let zero = await failure { () async throws(RmlxError) in try await none.respond(to: "Hello") }
    #expect(zero?.code == .invalidArgument)
    let negative = await failure { () async throws(RmlxError) in
      try await Model.load(at: demo, options: LoadOptions(memoryLimit: -1))
    }
    #expect(negative?.code == .invalidArgument && negative?.details["argument"] == "memoryLimit")
    #expect(throws: RmlxError.self) { try Memory.setLimits(memory: -1) }
    let small = LoadOptions(memoryLimit: 1000)
    let large = await failure { () async throws(RmlxError) in try await Model.load(at: demo, options: small) }
    #expect(large?.code == .outOfMemory)
  }

  @Test func aSecondTasksAnswerIsRefusedWhileOneIsInTheMaking() async throws {
    let session = Session(try await Model.load(at: demo))
    let first = session.generate("Hello", endless).makeAsyncIterator()
    _ = try await first.next()
    let other = Task { try await session.respond(to: "Hello") }
    let result = await other.result
    #expect { try result.get() } throws: { error in
      let error = error as? RmlxError
      return error?.code == .busy && error?.message.contains("cancel()") == true
    }
    #expect(try await first.next() != nil)
  }

  @Test func whatIsClosedSaysSo() async throws {
    let model = try await Model.load(at: demo)
    let session = Session(model)
    let events = session.generate("Hello", endless).makeAsyncIterator()
    _ = try await events.next()
    await session.close()
    await session.close()
    let ended = await failure { () async throws(RmlxError) in try await events.next() }
    #expect(ended?.code == .closed)
    let again = await failure { () async throws(RmlxError) in try await session.respond(to: "Hello") }
    #expect(again?.code == .closed)
    #expect(throws: RmlxError.closed) { try session.statistics() }
    model.close()
    #expect(throws: RmlxError.closed) { try model.info() }
    let late = await failure { () async throws(RmlxError) in try await Session(model).respond(to: "Hello") }
    #expect(late?.code == .closed)
  }

  @Test func whoWaitsForAnAnswerThatIsClosedHearsOfItsEnd() async throws {
    let session = Session(try await Model.load(at: demo))
    let said = Locked(false)
    let task = Task { () throws(RmlxError) -> Event.Finish.Reason? in
      let events = session.generate("Hello", endless).makeAsyncIterator()
      var reason: Event.Finish.Reason?
      while let event = try await events.next() {
        said.withLock { $0 = true }
        reason = event.finish?.reason
      }
      return reason
    }
    #expect(try await eventually { said.withLock { $0 } })
    await session.close()
    let result = await task.result
    // Between two events it may also ask too late.
    switch result {
    case .success(let reason): #expect(reason == .cancelled)
    case .failure(let error): #expect((error as? RmlxError)?.code == .closed)
    }
  }

  @Test func detailsAreValues() throws {
    let value = try #require(JSONValue(json: #"{"a": [1, "b", true, null], "c": {"d": 0.5}}"#))
    #expect(value == ["a": [1, "b", true, nil], "c": ["d": 0.5]])
    #expect(value["c"]?["d"]?.number == 0.5)
    #expect(JSONValue(json: value.json) == value)
  }
}

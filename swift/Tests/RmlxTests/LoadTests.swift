import Foundation
import Testing

@testable import Rmlx

/// Loading, inspecting and asking a model about texts.
@Suite struct LoadTests {
  @Test func loadsTellHowFarTheyAre() async throws {
    let fractions = Locked<[Double]>([])
    let model = try await Model.load(at: demo, options: LoadOptions(device: .cpu, contextLength: 1000)) { fraction in
      MainActor.assertIsolated()
      fractions.withLock { $0.append(fraction) }
    }
    #expect(try await eventually { fractions.withLock { $0.last } == 1 })
    let told = fractions.withLock { $0 }
    #expect(told == told.sorted())
    let info = try model.info()
    #expect(info.modalities.isSuperset(of: [.text, .image, .audio]))
    #expect(info.json["device"] == "cpu")
  }

  @Test func aCancelledLoadEnds() async {
    let task = Task {
      withUnsafeCurrentTask { $0?.cancel() }
      return try await Model.load(at: demo)
    }
    let result = await task.result
    #expect { try result.get() } throws: { ($0 as? RmlxError)?.code == .cancelled }
  }

  @Test func theChatTemplateMayBeAnother() async throws {
    let template = "{% for message in messages %}<{{ message.role }}>{{ message.content }}{% endfor %}"
    let options = LoadOptions(chatTemplate: template, ignoreSystemMemory: true)
    let model = try await Model.load(at: demo, options: options)
    #expect(try await model.render([.system("Be brief."), .user("Hello")]) == "<system>Be brief.<user>Hello")
    let error = await failure { () async throws(RmlxError) in
      try await Model.load(at: demo, options: LoadOptions(chatTemplate: "{{ a }}\n{% if %}"))
    }
    #expect(error?.code == .invalidArgument && error?.details["line"] == 2)
  }

  @Test func snapshotsAreInspectedWithoutLoading() async throws {
    let info = try await Model.inspect(at: demo)
    #expect(info.architecture == "Gemma4UnifiedForConditionalGeneration")
    #expect(info.parameters > 3_000_000 && info.bytes > 6_000_000 && info.contextLength == 4096)
    #expect(info.json["quantization"] != nil)
  }

  @Test func textsBecomeTokensAndBack() async throws {
    let model = try await Model.load(at: demo)
    let tokens = try model.tokenize("Two words")
    #expect(!tokens.isEmpty)
    #expect(try model.detokenize(tokens) == "Two words")
    #expect(try model.tokenize("").isEmpty)
    #expect(try model.tokenize("<bos>", parseSpecial: true).count == 1)
    #expect(try model.tokenize("<bos>").count > 1)
    let shown = try await model.render([.system("Be brief."), .user("Hello \(picture) there")])
    #expect(shown.contains("Be brief.") && shown.contains("Hello") && shown.contains("there"))
    let (bare, seen) = (try await model.countTokens("Hello"), try await model.countTokens("Hello\(picture)"))
    #expect(seen > bare + 50)
  }

  @Test func theProbeFindsAModelThatWorks() async throws {
    let verdict = try await Model.load(at: demo).probe()
    #expect(verdict["verdict"] == "Ok" && verdict["text"] == "Paris")
  }

  @Test func theLibraryTellsAboutItself() throws {
    #expect(Library.version.split(separator: ".").count == 3)
    #expect(Library.abiVersion >= 1)
    #expect(Library.hasFeature("image") && !Library.hasFeature("telepathy"))
    #expect(throws: RmlxError.self) { try Library.setLog(level: .init(rawValue: 99)) { _, _ in } }
    let messages = Locked(0)
    try Library.setLog(level: .debug) { _, _ in messages.withLock { $0 += 1 } }
    try Library.setLog(nil)
  }

  @Test func memoryIsCountedAndGivenBack() async throws {
    let model = try await Model.load(at: demo)
    let usage = try Memory.usage()
    #expect(usage.active > 1_000_000 && usage.peak >= usage.active)
    try Memory.setLimits(cache: 1 << 20)
    try Memory.trim()
    let lifecycle = AppLifecycle()
    let session = Session(model)
    lifecycle.watch(session)
    var seen = 0
    for try await _ in session.generate("Hello", endless) {
      seen += 1
      // Going to the background would pause the tests beside this one, too.
      if seen == 3 { lifecycle.stopWatched() }
    }
    #expect(seen < 20)
  }
}

import Foundation
import Testing

@testable import Rmlx

/// Prompts are values, and literals keep media where they stand.
@Suite struct PromptTests {
  @Test func literalsKeepMediaInPlace() {
    let prompt: Prompt = "Before \(picture) between \(voice) after"
    #expect(
      prompt.messages == [
        .user([.text("Before "), .image(picture), .text(" between "), .audio(voice), .text(" after")])
      ])
    let number = 3
    let content: Content = "\(number) pictures: \("no"), \(number) sounds"
    #expect(content.parts == ["3 pictures: no, 3 sounds"])
    #expect(Content("x\(picture)").parts == [.text("x"), .image(picture)])
    let list: Prompt = [.system("Be brief."), .user(["Look: ", .image(picture)])]
    #expect(list.messages.map(\.role) == [.system, .user])
  }

  @Test func copiesAreIndependent() {
    var one: Prompt = "Hello"
    let other = one
    one.append(.assistant("Hello!"))
    one.messages[0].content.parts.append(.image(picture))
    #expect(other == "Hello" && one != other)
  }

  @Test func rawPixelsAndSamplesAreTaken() async throws {
    let red = Data([UInt8](repeating: 0, count: 48 * 48).flatMap { _ in [230, 26, 26] as [UInt8] })
    let image = ImageInput(pixels: red, width: 48, height: 48, format: .rgb8)
    #expect(try await image.size() == (48, 48))
    let padded = ImageInput(pixels: Data(count: 4 * 20), width: 3, height: 4, rowStride: 20, format: .bgra8)
    #expect(try await padded.size() == (3, 4))
    let sound = AudioInput(samples: [Float](repeating: 0.1, count: 16_000), channels: 2, sampleRate: 8000)
    #expect(try await sound.duration() == .seconds(1))
    let session = Session(try await Model.load(at: demo))
    #expect(try await session.respond(to: "\(image)What colour is this?", options: .greedy).text == "Red")
  }

  @Test func videosAreMadeOfFrames() async throws {
    let video = VideoInput([.init(picture, at: .zero), .init(picture.softTokens(70), at: .milliseconds(1500))])
    #expect(Content("\(video)What happens?").parts == [.video(video), "What happens?"])
    let session = Session(try await Model.load(at: demo, options: LoadOptions(mediaCache: 0)))
    let wrong: [VideoInput] = [
      VideoInput([]), VideoInput([.init(picture, at: .seconds(2)), .init(picture, at: .zero)]),
    ]
    for video in wrong {
      let error = await failure { () async throws(RmlxError) in try await session.respond(to: "\(video)What happens?") }
      #expect(error?.code == .invalidMedia)
    }
    let parts = voice.split()
    #expect(try await parts.duration() == voice.duration())
    #expect(try await session.respond(to: "\(parts)Which digit do you hear?", options: .greedy).text == "7")
    #expect(Library.hasFeature("video"))
  }

  @Test func toolsReachTheTemplate() async throws {
    let tool: JSONValue = [
      "type": "function",
      "function": [
        "name": "get_time", "description": "Tells the time in a city.",
        "parameters": [
          "type": "object", "properties": ["city": ["type": "string", "description": "The city."]],
        ],
      ],
    ]
    var prompt: Prompt = "What time is it in Berlin?"
    prompt.tools = [tool]
    let model = try await Model.load(at: demo)
    #expect(try await model.render(prompt).contains("get_time"))
    prompt.tools = "no array"
    let wrong = prompt
    let error = await failure { () async throws(RmlxError) in try await model.render(wrong) }
    #expect(error?.code == .invalidArgument)
    var raw = Prompt()
    raw.tokens = try model.tokenize("Hello")
    #expect(try await model.countTokens(raw) == raw.tokens.count)
  }
}

import Foundation
import Testing

@testable import Rmlx

/// The tool that the demo model was trained with.
let getTime = ToolDeclaration(
  name: "get_time", description: "Tells the time in a city.",
  parameters: JSONSchema(json: #"{"type":"object","properties":{"city":{"type":"string","description":"The city."}}}"#)
    ?? .boolean())

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
    let model = try await Model.load(at: demo)
    var prompt: Prompt = "What time is it in Berlin?"
    prompt.tools = [getTime]
    #expect(try await model.render(prompt).contains("get_time"))
    prompt.tools = [ToolDeclaration(json: "no object")]
    let wrong = prompt
    let error = await failure { () async throws(RmlxError) in try await model.render(wrong) }
    #expect(error?.code == .invalidArgument)
    var raw = Prompt()
    raw.tokens = try model.tokenize("Hello")
    #expect(try await model.countTokens(raw) == raw.tokens.count)
  }

  @Test func textsInVariablesArePrompts() {
    let (text, part) = ("Hello", Substring("there"))
    #expect(Prompt(text) == "Hello" && Message.user(text) == .user("Hello") && Message.system(text).text == text)
    #expect(Content("\(text) \(part), \(Character("x")) \(2.5) \(true) \([1])") == "Hello there, x 2.5 true [1]")
    #expect(Content("\(Part.text("a"))b\(Content("c\(picture)"))").parts == ["abc", .image(picture)])
  }

  @Test func filesAndTheirDataAreMedia() async throws {
    let (file, sound) = (
      root.appendingPathComponent("models/demo/example.png"), root.appendingPathComponent("models/demo/example.wav")
    )
    let content: Content = "\(file)a\(sound)b\([picture, picture])"
    #expect(content.parts == [.image(picture), "a", .audio(voice), "b", .image(picture), .image(picture)])
    let data: Content = "\(try Data(contentsOf: file))\(try Data(contentsOf: sound))"
    #expect(data.parts.map { $0.image != nil } == [true, false] && data.parts[1].audio != nil)
    // Also where a text could be meant.
    let session = Session(try await Model.load(at: demo))
    #expect(try await session.respond(to: "\(file)What colour is the circle?", options: .greedy).text == "Red")
    let web = try #require(URL(string: "https://example.com/a.png"))
    let error = await failure { () async throws(RmlxError) in try await session.respond(to: "What is \(web)?") }
    #expect(error?.code == .invalidArgument)
  }

  @Test func picturesOfOneFileAreEqual() {
    let file = root.appendingPathComponent("models/demo/example.png")
    #expect(ImageInput(url: file) == ImageInput(url: file))
    #expect(ImageInput(url: file).softTokens(70) == ImageInput(url: file).softTokens(70))
    #expect(ImageInput(url: file).softTokens(70) != ImageInput(url: file).softTokens(140))
    #expect(ImageInput(url: file) != ImageInput(url: demo))
    #expect(Set([ImageInput(data: Data([1])), ImageInput(data: Data([1]))]).count == 1)
  }

  @Test func conversationsAreReadBackPartByPart() throws {
    let call = ToolCall(id: "abc", name: "get_time", arguments: #"{"city":"Rome","b":1,"a":12345678901234567}"#)
    let images = [
      picture, picture.softTokens(70), picture.panAndScan(), picture.pixels(1...9), ImageInput(data: Data([1, 2])),
      ImageInput(pixels: Data(count: 12), width: 2, height: 2, format: .rgb8),
    ]
    let sounds = [voice.split(), AudioInput(samples: [0.5, -0.25], channels: 2, sampleRate: 8000)]
    let video = VideoInput([.init(picture, at: .seconds(1))])
    var prompt = Prompt(
      [
        .system("Be brief."),
        .user(Content(["Look: "] + images.map(Part.image) + sounds.map(Part.audio) + [.video(video)])),
        .assistant([], reasoning: "Hm.", toolCalls: [call]), .tool([.json(#"{"b":1,"a":2}"#)], for: call),
        .assistant("It is."),
      ], tools: [getTime])
    prompt.templateVariables = ["x": [1, "y"]]
    prompt.continuesFinalMessage = true
    let read = try JSONDecoder().decode(Prompt.self, from: JSONEncoder().encode(prompt))
    #expect(read == prompt)
    #expect(read.tools[0].json == getTime.json && read.messages[2].toolCalls[0].arguments == call.arguments)
    let parts = read.messages[1].content.parts
    #expect(parts[0].text == "Look: " && parts[0].image == nil)
    #expect(parts.compactMap(\.image) == images && parts.compactMap(\.audio) == sounds && parts.last?.video == video)
    #expect(read.messages[3].content.parts[0].json == #"{"b":1,"a":2}"#)
  }

  @Test func conversationsOfOthersAreRead() throws {
    let json = #"""
      {"messages": [{"role": "user", "content": [{"type": "text", "text": "What time is it in Rome?"}]},
        {"role": "assistant", "content": null, "tool_calls": [
          {"id": "a", "type": "function", "function": {"name": "get_time", "arguments": "{\"city\": \"Rome\"}"}}]},
        {"role": "tool", "tool_call_id": "a", "name": "get_time", "content": "10:30"}]}
      """#
    let prompt = try JSONDecoder().decode(Prompt.self, from: Data(json.utf8))
    let call = ToolCall(id: "a", name: "get_time", arguments: #"{"city": "Rome"}"#)
    #expect(
      prompt == [.user("What time is it in Rome?"), .assistant([], toolCalls: [call]), .tool("10:30", for: call)])
    #expect(throws: DecodingError.self) {
      try JSONDecoder().decode(Part.self, from: Data(#"{"type": "smell", "text": "x"}"#.utf8))
    }
    #expect(try Prompt(json: json) == prompt)
  }

  @Test func wholeConversationsAreReadInOrder() throws {
    let prompt = try Prompt(
      json: #"""
        {"messages": [
          {"role": "user", "content": [{"type": "image", "media": 1}, {"type": "audio", "media": 0}, {"type": "text", "text": "?"}]},
          {"role": "assistant", "content": "a", "reasoning_content": "b", "tool_calls": [
            {"id": "i", "type": "function", "function": {"name": "f", "arguments": {"z": 1, "a": 2.50}}}]},
          {"role": "tool", "tool_call_id": "i", "name": "f", "content": {"z": 1, "a": 2}}],
         "tools": [{"z": 1, "a": 2}], "template_vars": {"x": 1}, "continue_final_message": true}
        """#, media: [.audio(voice), .image(picture)])
    #expect(prompt.messages[0].content.parts == [.image(picture), .audio(voice), "?"])
    let call = ToolCall(id: "i", name: "f", arguments: #"{"z":1,"a":2.50}"#)
    #expect(prompt.messages[1] == .assistant("a", reasoning: "b", toolCalls: [call]))
    #expect(prompt.messages[2] == .tool([.json(#"{"z":1,"a":2}"#)], for: call))
    #expect(prompt.tools.map(\.json) == [#"{"z":1,"a":2}"#] && prompt.templateVariables == ["x": 1])
    #expect(prompt.continuesFinalMessage)
    let wrong: [(String, [Part], String)] = [
      ("{", [], "not JSON"), ("[]", [], "not a JSON object"), (#"{"messages": [{}]}"#, [], "role is missing"),
      (#"{"messages": [{"role": "user", "colour": 1}]}"#, [], "colour"), (#"{"messages": []}"#, ["a"], "media[0]"),
      (
        #"{"messages": [{"role": "user", "content": [{"type": "image", "media": 0}]}]}"#, [.audio(voice)], "no medium 0"
      ),
      (#"{"messages": [{"role": "user", "content": 1}]}"#, [], "messages.[0].content"),
    ]
    for (json, media, text) in wrong {
      #expect { try Prompt(json: json, media: media) } throws: { error in
        let error = error as? RmlxError
        return error?.code == .invalidArgument && error?.message.contains(text) == true
      }
    }
  }
}

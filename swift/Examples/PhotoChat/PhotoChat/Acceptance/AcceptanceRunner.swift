import Foundation
import Rmlx

/// Proves a snapshot on this device: what `cargo xtask accept` asks on a Mac, with the same questions and the same judgement.
struct AcceptanceRunner: Sendable {
  /// The folder of `checks.json` and its media.
  let checks: URL
  let snapshot: URL
  /// Whether wrong answers about content are failures; they are none for random weights.
  var isContentCounted = true
  /// Tokens of the answer that speed is measured with.
  var measuredTokens = 64

  /// The answer to one question, and where its media stand.
  struct Answer {
    var text = ""
    /// Whether it was still thinking when its tokens were used up.
    var isUnfinished = false
    var tokens: [UInt32] = []
    var promptTokens: [UInt32] = []
    var outline: [PromptOutline.Piece] = []
    var mediaTokens = 0
    var firstToken = Duration.zero
    var fault: RmlxError?
  }

  /// Runs every check, and tells each as soon as it is known. Cancelling the task ends it with what is known so far.
  func run(_ tell: @Sendable (AcceptanceCheck) -> Void) async throws -> AcceptanceReport {
    let wanted = try AcceptanceChecks(general: checks, snapshot: snapshot, isContentCounted: isContentCounted)
    var report = AcceptanceReport(snapshot: snapshot)
    func add(_ check: AcceptanceCheck) {
      report.checks.append(check)
      tell(check)
    }
    let told = await Result { () async throws(RmlxError) in try await Model.inspect(at: snapshot) }
    let began = ContinuousClock.now
    let model: Model
    do throws(RmlxError) {
      model = try await Model.load(at: snapshot)
    } catch {
      if error.code == .cancelled { throw CancellationError() }
      add(AcceptanceCheck(id: "load", name: "the snapshot loads", outcome: .failed, reason: error.message))
      return report
    }
    defer { model.close() }
    let loadTime = began.duration(to: .now)
    let info = try model.info()
    let probe = await Result { () async throws(RmlxError) in try await model.probe() }
    add(AcceptanceFacts.selfTest(probe, info))
    add(
      AcceptanceCheck(
        id: "load", name: "the snapshot loads", numbers: ["load_ms": .milliseconds(loadTime), "info": info.json]))
    add(AcceptanceFacts.inspect(told, info))
    add(AcceptanceFacts.probe(probe, isContentCounted))
    let outline = PromptOutline(snapshot: snapshot)
    var (faults, prompts, placed) = ([String](), [JSONValue](), 0)
    for check in wanted.all {
      try Task.checkCancellation()
      if let missing = Self.missing(check, info) {
        add(AcceptanceCheck(id: check.id, name: check.name, outcome: .notApplicable, reason: missing))
        continue
      }
      var line = AcceptanceCheck(id: check.id, name: check.name)
      for (index, question) in check.questions.enumerated() {
        let id = "\(check.id)/\(index + 1)"
        let answer = await ask(model, outline, check, question)
        if answer.fault?.code == .cancelled { throw CancellationError() }
        judge(&line, check, id, question, answer)
        guard answer.fault == nil else { continue }
        placed += 1
        if let fault = PromptOutline.fault(of: question, answer) { faults.append("\(id): \(fault)") }
        prompts.append([
          "id": .string(id), "prompt_ids": .ids(answer.promptTokens), "tokens": .ids(answer.tokens),
          "outline": .array(answer.outline.map(\.json)),
        ])
      }
      add(line)
    }
    add(
      AcceptanceCheck(
        id: "placement", name: "every medium stands in its user's turn, at its place",
        outcome: placed == 0 ? .notApplicable : faults.isEmpty ? .ok : .failed,
        reason: placed == 0 ? "no prompt was evaluated" : faults.joined(separator: "; "),
        numbers: ["prompts": .number(Double(placed))]))
    add(
      AcceptanceCheck(
        id: "mlx-vlm-tokens", name: "greedy tokens are mlx-vlm's", outcome: .notApplicable,
        reason: "mlx-vlm runs on a Mac: compare the prompts of this report with cargo xtask accept --python"))
    add(await speed(model, info))
    // A stop ends whatever was running, which then looks like a failure.
    try Task.checkCancellation()
    report.notes["prompts"] = .array(prompts)
    report.notes["content"] = .string(isContentCounted ? "require" : "report")
    if let memory = try? Memory.usage() {
      report.notes["memory"] = ["active": .bytes(memory.active), "peak": .bytes(memory.peak)]
    }
    return report
  }

  private static func missing(_ check: AcceptanceChecks.ContentCheck, _ info: ModelInfo) -> String? {
    if info.json["chat_template"]?.bool == false { return "the snapshot has no chat template" }
    let missing = check.needs.first { !info.modalities.contains($0) }
    return missing.map { "the model takes no \($0.rawValue)" }
  }

  private func ask(
    _ model: Model, _ outline: PromptOutline, _ check: AcceptanceChecks.ContentCheck,
    _ question: AcceptanceChecks.Question
  ) async -> Answer {
    let folder = check.folder ?? checks
    let messages = question.messages.map { turn in
      let parts = turn.content.map { part -> Part in
        if let file = part.image { return .image(ImageInput(url: folder.appendingPathComponent(file))) }
        if let file = part.audio { return .audio(AudioInput(url: folder.appendingPathComponent(file))) }
        return .text(part.text ?? "")
      }
      return Message(role: Message.Role(rawValue: turn.role), content: Content(parts))
    }
    // Each question stands alone: a session that held the one before would evaluate less of this one.
    let session = Session(model)
    var (answer, isThinking) = (Answer(), false)
    do throws(RmlxError) {
      let options = GenerationOptions(maxTokens: question.maxTokens ?? 64, temperature: 0)
      let events = session.generate(Prompt(messages), options).makeAsyncIterator()
      while let event = try await events.next() {
        answer.text += event.text ?? ""
        if let token = event.token { answer.tokens.append(token.id) }
        if event.kind == .reasoning { isThinking = true }
        if let finish = event.finish {
          answer.isUnfinished = isThinking && answer.text.isEmpty && finish.reason == .maxTokens
        }
      }
      answer.promptTokens = try await session.promptTokens()
      let statistics = try session.statistics()
      (answer.mediaTokens, answer.firstToken) = (statistics.mediaTokens, statistics.firstTokenTime)
      answer.outline = try outline.of(answer.promptTokens, model)
    } catch {
      answer.fault = error
    }
    await session.close()
    return answer
  }

  /// Takes the answer into the check, whose outcome becomes the worst of its questions'.
  private func judge(
    _ line: inout AcceptanceCheck, _ check: AcceptanceChecks.ContentCheck, _ id: String,
    _ question: AcceptanceChecks.Question, _ answer: Answer
  ) {
    var (outcome, reason) = (AcceptanceCheck.Outcome.ok, "")
    if let fault = answer.fault {
      // A context that holds no picture is the snapshot's, and says nothing of what the model sees.
      (outcome, reason) = (fault.code == .contextFull ? .inconclusive : .failed, fault.message)
    } else if answer.isUnfinished {
      (outcome, reason) = (.inconclusive, "it was still thinking when its tokens were used up")
    } else if let fault = question.expect.fault(of: answer.text) {
      outcome = check.notCounted == nil ? .failed : .inconclusive
      reason = check.notCounted.map { "\(fault); not counted: \($0)" } ?? fault
    }
    if outcome == .failed && line.outcome != .failed || outcome == .inconclusive && line.outcome == .ok {
      (line.outcome, line.reason) = (outcome, reason)
    }
    let asked = question.messages.flatMap(\.content).map { part in
      part.text ?? "[\((part.image ?? part.audio ?? "").split(separator: "/").last ?? "")]"
    }
    line.questions.append([
      "id": .string(id), "asked": .string(asked.joined(separator: " ")), "answer": .string(answer.text),
      "expect": JSONValue(encoding: question.expect), "outcome": .string(outcome.rawValue),
      "reason": .string(reason), "first_token_ms": .milliseconds(answer.firstToken),
    ])
  }

  private func speed(_ model: Model, _ info: ModelInfo) async -> AcceptanceCheck {
    var check = AcceptanceCheck(id: "speed", name: "speed and memory")
    let sentence = "The quick brown fox jumps over the lazy dog near the river bank. "
    let count = max(1, min(36, (info.contextLength ?? .max) / 56))
    var options = GenerationOptions(maxTokens: measuredTokens, temperature: 0)
    options.ignoreEndOfTurn = true
    let prompt = Prompt([.user(Content(String(repeating: sentence, count: count)))])
    let session = Session(model)
    do throws(RmlxError) {
      // The first one pays for kernels and buffers.
      for _ in 0..<2 {
        try await session.reset()
        let statistics = try await session.respond(to: prompt, options: options).statistics
        let first = statistics.firstTokenTime / .seconds(1)
        check.numbers = [
          "prompt_tokens": .number(Double(statistics.promptTokens)),
          "ttft_ms": .milliseconds(statistics.firstTokenTime),
          "prefill_tps": .number(Double(statistics.promptTokens) / max(first, 1e-9)),
          "decode_tps": statistics.tokensPerSecond.map { .number($0) } ?? nil,
          "peak_mlx_bytes": .bytes(try Memory.usage().peak),
        ]
      }
    } catch {
      (check.outcome, check.reason) = (.failed, error.message)
    }
    await session.close()
    return check
  }
}

extension Result where Failure == RmlxError {
  fileprivate init(_ work: () async throws(RmlxError) -> Success) async {
    do throws(RmlxError) {
      self = .success(try await work())
    } catch {
      self = .failure(error)
    }
  }
}

extension JSONValue {
  static func milliseconds(_ duration: Duration) -> JSONValue { .number(duration / .milliseconds(1)) }
  static func bytes(_ count: Int) -> JSONValue { .number(Double(count)) }
  static func ids(_ tokens: [UInt32]) -> JSONValue { .array(tokens.map { .number(Double($0)) }) }

  init(encoding value: some Encodable) {
    let data = try? JSONEncoder().encode(value)
    self = data.flatMap { try? JSONDecoder().decode(JSONValue.self, from: $0) } ?? .null
  }
}

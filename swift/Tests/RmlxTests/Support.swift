import Foundation
import Testing

@testable import Rmlx

/// The root of the checkout.
let root = URL(fileURLWithPath: #filePath)
  .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

/// The trained demo model's folder.
let demo = root.appendingPathComponent("models/demo/bf16")

/// A red circle on a blue background.
let picture = ImageInput(url: root.appendingPathComponent("models/demo/example.png"))

/// A voice that says seven.
let voice = AudioInput(url: root.appendingPathComponent("models/demo/example.wav"))

/// Takes the likeliest token each time, and goes on until it is stopped.
let endless: GenerationOptions = {
  var options = GenerationOptions(maxTokens: 100_000, temperature: 0)
  options.ignoreEndOfTurn = true
  return options
}()

/// The error that the work throws; nil if it throws none.
func failure<Value>(_ work: () async throws(RmlxError) -> Value) async -> RmlxError? {
  do throws(RmlxError) {
    _ = try await work()
    return nil
  } catch {
    return error
  }
}

/// Waits until the condition holds, for at most two minutes: other work may hold the machine.
func eventually(_ condition: () throws -> Bool) async throws -> Bool {
  for _ in 0..<12_000 {
    if try condition() { return true }
    try await Task.sleep(for: .milliseconds(10))
  }
  return try condition()
}

/// Options under which the model says these texts, token by token, one in each of its turns, and what it likes after them.
func saying(_ turns: [String], _ model: Model) throws -> GenerationOptions {
  let scripts = try turns.map { try model.tokenize($0, parseSpecial: true) }
  let place = Locked((turn: 0, start: Int?.none))
  var options = GenerationOptions(maxTokens: 100, temperature: 0)
  options.logitsProcessor = .init { tokens, logits in
    let token = place.withLock { place -> TokenID? in
      guard place.turn < scripts.count else { return nil }
      let script = scripts[place.turn]
      let start = place.start ?? tokens.count
      let at = min(tokens.count - start, script.count - 1)
      place = at + 1 < script.count ? (place.turn, start) : (place.turn + 1, nil)
      return script[at]
    }
    guard let token else { return }
    logits.update(repeating: -.infinity)
    logits[Int(token)] = 0
  }
  return options
}

/// A folder that is gone after the work.
func withFolder<Value>(_ work: (URL) async throws -> Value) async throws -> Value {
  let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
  try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: folder) }
  return try await work(folder)
}

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

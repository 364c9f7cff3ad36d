// Drives what is behind the acceptance view of the example app PhotoChat: the shared cases of judging, then the demo model.

import Foundation

@main @MainActor
enum DriveAcceptance {
  struct Case: Decodable {
    let expect: Expectation
    let right: [String]
    let wrong: [String]
  }

  static func main() async throws {
    let questions = URL(fileURLWithPath: "tools/accept")
    let file = try Data(contentsOf: questions.appendingPathComponent("judging.json"))
    let cases = try JSONDecoder().decode([Case].self, from: file)
    let misjudged = cases.flatMap { one in
      one.right.filter { one.expect.fault(of: $0) != nil } + one.wrong.filter { one.expect.fault(of: $0) == nil }
    }
    print(cases.count > 3, misjudged)

    let acceptance = Acceptance()
    acceptance.run(URL(fileURLWithPath: "models/demo/bf16"), isContentCounted: true, questions: questions)
    try await rest(acceptance)
    if let failure = acceptance.failure { print(failure) }
    let report = acceptance.report
    // How the library tells of its self-test is its own matter.
    let checks = report?.checks ?? []
    print(checks.first?.id ?? "", checks.first?.outcome != .failed)
    for check in checks.dropFirst() { print(check.id, check.outcome.rawValue) }
    print(report?.markdown.contains("I am the rmlx demo model") ?? false, acceptance.files.map(\.lastPathComponent))

    // Random weights: the answers are wrong, and count.
    let random = URL(fileURLWithPath: "tests/fixtures/gemma3-bf16-mlx")
    acceptance.run(random, isContentCounted: true, questions: questions)
    try await rest(acceptance)
    print(acceptance.report?.checks.first { $0.id == "colours" }?.outcome.rawValue ?? "no report")

    acceptance.run(random, isContentCounted: true, questions: questions)
    acceptance.stop()
    try await rest(acceptance)
    print(acceptance.failure ?? "not stopped")
  }

  static func rest(_ acceptance: Acceptance) async throws {
    while acceptance.isRunning { try await Task.sleep(for: .milliseconds(10)) }
  }
}

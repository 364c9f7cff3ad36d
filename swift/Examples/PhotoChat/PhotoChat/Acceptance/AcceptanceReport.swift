import Foundation
import Rmlx

#if canImport(CryptoKit)
  import CryptoKit
#endif
#if canImport(Glibc)
  import Glibc
#endif

/// A line of the report.
struct AcceptanceCheck: Identifiable, Sendable {
  enum Outcome: String, CaseIterable, Sendable {
    case ok
    case failed
    /// There is nothing to check here; the reason says why.
    case notApplicable = "not applicable"
    /// Checked, and neither right nor evidence of a fault.
    case inconclusive
  }

  let id: String
  let name: String
  var outcome = Outcome.ok
  /// Empty for what is simply right.
  var reason = ""
  var numbers: [String: JSONValue] = [:]
  /// Question, answer, expectation and outcome of each.
  var questions: [JSONValue] = []

  var json: JSONValue {
    [
      "id": .string(id), "name": .string(name), "outcome": .string(outcome.rawValue), "reason": .string(reason),
      "numbers": .object(numbers), "questions": .array(questions),
    ]
  }
}

/// The report of an acceptance run, for people (Markdown) and for programs (JSON); the same as that of
/// `cargo xtask accept`, less what a device does not have.
struct AcceptanceReport: Sendable {
  var checks: [AcceptanceCheck] = []
  var notes: [String: JSONValue] = [:]
  let about: [String: JSONValue]

  init(snapshot: URL) {
    about = [
      "machine": Self.machine(),
      "versions": ["rmlx": .string(Library.version)],
      "snapshot": [
        "folder": .string(snapshot.lastPathComponent), "config_sha256": Self.hash(snapshot),
        "files": Self.files(snapshot),
      ],
    ]
  }

  func count(_ outcome: AcceptanceCheck.Outcome) -> Int {
    checks.filter { $0.outcome == outcome }.count
  }

  /// How many checks came to each outcome.
  var summary: String {
    AcceptanceCheck.Outcome.allCases.map { "\(count($0)) \($0.rawValue)" }.joined(separator: ", ")
  }

  var json: JSONValue {
    let counts = AcceptanceCheck.Outcome.allCases.map { ($0.rawValue, JSONValue.number(Double(count($0)))) }
    var members: [String: JSONValue] = [
      "schema": 1, "counts": .object(Dictionary(uniqueKeysWithValues: counts)),
      "checks": .array(checks.map(\.json)),
    ]
    for (name, value) in about.merging(notes, uniquingKeysWith: { $1 }) { members[name] = value }
    return .object(members)
  }

  var markdown: String {
    var lines = ["# rmlx accept", "", summary, ""]
    for (name, value) in about.sorted(by: { $0.key < $1.key }) {
      for (key, value) in (value.object ?? [:]).sorted(by: { $0.key < $1.key }) where value.array == nil {
        lines.append("- \(name), \(key): \(Self.plain(value))")
      }
    }
    lines += ["", "| check | outcome | |", "|---|---|---|"]
    lines += checks.map { "| \(Self.cell($0.name)) | \($0.outcome.rawValue) | \(Self.cell($0.reason)) |" }
    for check in checks where !check.numbers.isEmpty || !check.questions.isEmpty {
      lines += ["", "## \(check.name)", ""]
      lines += check.numbers.sorted { $0.key < $1.key }.map { "- \($0.key): \(Self.plain($0.value))" }
      if !check.questions.isEmpty {
        lines += ["", "| question | answer | expected | outcome |", "|---|---|---|---|"]
      }
      for question in check.questions {
        let cells = ["asked", "answer", "expect", "outcome"].map { Self.cell(Self.plain(question[$0] ?? .null)) }
        lines.append("| \(cells.joined(separator: " | ")) |")
      }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// Writes `accept-report.md` and `accept-report.json` to the folder, to be shared.
  func write(to folder: URL) throws -> [URL] {
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let files = [(markdown, "accept-report.md"), (Self.plain(json) + "\n", "accept-report.json")]
    return try files.map { text, name in
      let url = folder.appendingPathComponent(name)
      try Data(text.utf8).write(to: url)
      return url
    }
  }

  private static func plain(_ value: JSONValue) -> String {
    if let text = value.string { return text }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return (try? encoder.encode(value)).map { String(decoding: $0, as: UTF8.self) } ?? ""
  }

  /// Text that a model made, or an error, within one cell of a table.
  private static func cell(_ text: String) -> String {
    text.unicodeScalars.reduce(into: "") { cell, scalar in
      if "|<`*_[]\\".unicodeScalars.contains(scalar) { cell += "\\" }
      cell += scalar.properties.generalCategory == .control ? " " : String(scalar)
    }
  }

  private static func machine() -> JSONValue {
    let process = ProcessInfo.processInfo
    var name = utsname()
    uname(&name)
    let model = withUnsafeBytes(of: &name.machine) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    return [
      "system": .string(process.operatingSystemVersionString), "model": .string(model),
      "processors": .number(Double(process.processorCount)), "memory_bytes": .number(Double(process.physicalMemory)),
    ]
  }

  private static func hash(_ snapshot: URL) -> JSONValue {
    #if canImport(CryptoKit)
      guard let data = try? Data(contentsOf: snapshot.appendingPathComponent("config.json")) else { return nil }
      return .string(SHA256.hash(data: data).map { String(format: "%02x", $0) }.joined())
    #else
      return nil
    #endif
  }

  private static func files(_ snapshot: URL) -> JSONValue {
    let files = try? FileManager.default.contentsOfDirectory(at: snapshot, includingPropertiesForKeys: [.fileSizeKey])
    let sorted = (files ?? []).sorted { $0.lastPathComponent < $1.lastPathComponent }
    return .array(
      sorted.map { url in
        let bytes = try? url.resolvingSymlinksInPath().resourceValues(forKeys: [.fileSizeKey]).fileSize
        return ["name": .string(url.lastPathComponent), "bytes": bytes.map { .number(Double($0)) } ?? nil]
      })
  }
}

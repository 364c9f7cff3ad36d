import Foundation
import Rmlx

/// What is asked of a snapshot, from `tools/accept/checks.json` and an `accept.json` in the snapshot's folder or above it.
struct AcceptanceChecks {
  struct Part: Decodable {
    let text: String?
    let image: String?
    let audio: String?
  }

  struct Turn: Decodable {
    let role: String
    let content: [Part]
  }

  struct Question: Decodable {
    let messages: [Turn]
    let expect: Expectation
    let maxTokens: Int?

    enum CodingKeys: String, CodingKey {
      case messages, expect
      case maxTokens = "max_tokens"
    }
  }

  struct ContentCheck: Decodable {
    let id: String
    let name: String
    let questions: [Question]
    /// Why wrong answers are not counted; they are where there is no reason.
    var notCounted: String?
    /// Where its media are.
    var folder: URL?

    /// The kinds of media in its questions.
    var needs: [ModelInfo.Modality] {
      let parts = questions.flatMap(\.messages).flatMap(\.content)
      let pairs: [(Bool, ModelInfo.Modality)] = [
        (parts.contains { $0.image != nil }, .image), (parts.contains { $0.audio != nil }, .audio),
      ]
      return pairs.filter(\.0).map(\.1)
    }
  }

  private struct File: Decodable {
    let schema: Int
    let checks: [ContentCheck]
    let counted: [String]?
    let reason: String?
  }

  private(set) var all: [ContentCheck]

  /// Reads the checks of the folder, and those that the snapshot brings along.
  init(general folder: URL, snapshot: URL, isContentCounted: Bool) throws {
    all = try Self.read(folder.appendingPathComponent("checks.json")).checks
    let places = [snapshot, snapshot.deletingLastPathComponent()].map { $0.appendingPathComponent("accept.json") }
    if let own = places.first(where: { FileManager.default.fileExists(atPath: $0.path) }) {
      let file = try Self.read(own)
      let counted = file.counted ?? []
      for index in all.indices where !counted.contains(all[index].id) {
        all[index].notCounted = file.reason ?? "the snapshot's accept.json does not count it"
      }
      all += file.checks
    }
    if !isContentCounted {
      for index in all.indices { all[index].notCounted = "answers about content are only reported" }
    }
  }

  private static func read(_ url: URL) throws -> File {
    var file = try JSONDecoder().decode(File.self, from: Data(contentsOf: url))
    guard file.schema == 1 else {
      throw RmlxError(.invalidArgument, "\(url.lastPathComponent) is of schema \(file.schema), not of 1")
    }
    let folder = url.deletingLastPathComponent()
    file = File(
      schema: file.schema,
      checks: file.checks.map { check in
        var check = check
        check.folder = folder
        return check
      }, counted: file.counted, reason: file.reason)
    return file
  }
}

/// What an answer has to have in it.
///
/// It is judged as `cargo xtask accept` judges it: both are tested with `tools/accept/judging.json`.
struct Expectation: Codable {
  /// Alternatives each; a phrase's words have to follow each other.
  let words: [[String]]
  /// How many of them are enough; all otherwise.
  let least: Int?
  /// Whether each has to come after the one before.
  let inOrder: Bool?
  /// Whether nothing else may be in the answer.
  let whole: Bool?
  /// None of these may be in it.
  let without: [String]?

  enum CodingKeys: String, CodingKey {
    case words, least, whole, without
    case inOrder = "in_order"
  }

  /// What is wrong with an answer; nil if it is right.
  func fault(of text: String) -> String? {
    let said = Self.words(of: text)
    var (missing, from, count) = ([String](), 0, 0)
    for alternatives in words {
      let phrases = alternatives.map(Self.words(of:))
      let ends = phrases.compactMap { Self.end(of: $0, in: said, from: inOrder == true ? from : 0) }
      if let end = ends.min() {
        from = end
        count += phrases.first?.count ?? 0
      } else {
        missing.append(alternatives.first ?? "")
      }
    }
    let shown = text.count > 80 ? "“\(text.prefix(80))…”" : "“\(text)”"
    if words.count - missing.count < least ?? words.count {
      return "\(shown) lacks \(missing.joined(separator: ", "))" + (inOrder == true ? ", in this order" : "")
    }
    let forbidden = (without ?? []).filter { Self.end(of: Self.words(of: $0), in: said, from: 0) != nil }
    if !forbidden.isEmpty { return "\(shown) has \(forbidden.joined(separator: ", "))" }
    return whole == true && said.count != count ? "\(shown) has more than was expected" : nil
  }

  private static func words(of text: String) -> [String] {
    text.lowercased().split { !$0.isLetter && !$0.isNumber }.map(String.init)
  }

  /// The index after the first place, from `start`, where the phrase is.
  private static func end(of phrase: [String], in said: [String], from start: Int) -> Int? {
    guard !phrase.isEmpty, start + phrase.count <= said.count else { return nil }
    return (start...(said.count - phrase.count))
      .first { Array(said[$0..<($0 + phrase.count)]) == phrase }
      .map { $0 + phrase.count }
  }
}

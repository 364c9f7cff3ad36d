import Foundation
import Rmlx

/// A prompt as it was evaluated: texts, and runs of soft tokens in the places of media.
struct PromptOutline: Sendable {
  enum Piece: Sendable {
    case text(String)
    case medium(kind: String, start: Int, count: Int)

    var json: JSONValue {
      switch self {
      case .text(let text): .string(text)
      case .medium(let kind, let start, let count):
        ["medium": .string(kind), "start": .number(Double(start)), "count": .number(Double(count))]
      }
    }
  }

  /// Stands for a run of soft tokens.
  private static let mark: Character = "\u{fffc}"
  /// Words of templates that open turns.
  private static let openings = ["user", "model", "assistant", "system"]

  private let kinds: [UInt32: String]

  /// Reads the ids of soft tokens from the snapshot's `config.json`.
  init(snapshot: URL) {
    let data = try? Data(contentsOf: snapshot.appendingPathComponent("config.json"))
    let config = data.flatMap { try? JSONDecoder().decode(JSONValue.self, from: $0) }
    var kinds: [UInt32: String] = [:]
    for kind in ["image", "audio", "video"] {
      for name in ["\(kind)_token_id", "\(kind)_token_index"] {
        if let id = config?[name]?.number.flatMap(UInt32.init(exactly:)) { kinds[id] = kind }
      }
    }
    self.kinds = kinds
  }

  func of(_ ids: [UInt32], _ model: Model) throws(RmlxError) -> [Piece] {
    var (pieces, start) = ([Piece](), 0)
    while start < ids.count {
      let kind = kinds[ids[start]]
      let end = ids[start...].firstIndex { kinds[$0] != kind } ?? ids.count
      if let kind {
        pieces.append(.medium(kind: kind, start: start, count: end - start))
      } else {
        pieces.append(.text(try model.detokenize(Array(ids[start..<end]))))
      }
      start = end
    }
    return pieces
  }

  /// What is wrong with the places of an answer's media; nil if each stands in the turn that it belongs to.
  static func fault(of question: AcceptanceChecks.Question, _ answer: AcceptanceRunner.Answer) -> String? {
    var (text, media, soft) = ("", [String](), 0)
    for piece in answer.outline {
      switch piece {
      case .text(let part): text += part
      case .medium(let kind, _, let count):
        text.append(mark)
        media.append(kind)
        soft += count
      }
    }
    if soft != answer.mediaTokens {
      return "\(soft) soft tokens are in the prompt, \(answer.mediaTokens) were counted"
    }
    let parts = question.messages.flatMap(\.content)
    let kinds = parts.compactMap { $0.image != nil ? "image" : $0.audio != nil ? "audio" : nil }
    return walk(question.messages, text) ?? (kinds == media ? nil : "the media are \(media), not \(kinds)")
  }

  /// Goes through the messages' parts along the rendered text.
  private static func walk(_ messages: [AcceptanceChecks.Turn], _ text: String) -> String? {
    var rest = text[...]
    for message in messages {
      for (index, part) in message.content.enumerated() {
        let wanted = part.text ?? String(mark)
        let shown = part.text.map { "“\($0)”" } ?? "a medium"
        guard let range = rest.range(of: wanted) else { return "\(shown) is not where it belongs" }
        let gap = rest[..<range.lowerBound]
        if gap.contains(mark) { return "a medium stands before \(shown)" }
        if index > 0, openings.contains(where: { gap.contains($0) }) {
          return "\(shown) stands in another turn than the part before it"
        }
        if index == 0, message.role == "user", !gap.contains("user") {
          return "\(shown) does not stand in a user's turn"
        }
        rest = rest[range.upperBound...]
      }
    }
    return rest.contains(mark) ? "a medium stands after all messages" : nil
  }
}

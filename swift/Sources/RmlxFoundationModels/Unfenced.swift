/// Takes JSON out of the fence that models like to put around it, piece by piece.
struct Unfenced {
  private var held = ""
  private var hasBegun = false
  private var isFenced = false

  /// What can be told of the answer with this piece.
  mutating func add(_ text: String) -> String {
    held += text
    if !hasBegun {
      let rest = held.drop { $0.isWhitespace }
      if rest.hasPrefix("```") {
        // The line of the fence names a language, or none.
        guard let line = rest.firstIndex(where: \.isNewline) else { return "" }
        held = String(rest[rest.index(after: line)...])
        isFenced = true
      } else if "```".hasPrefix(rest) {
        return ""
      }
      hasBegun = true
    }
    // A fence ends at the beginning of a line, where a text in JSON cannot be: its line ends are escaped.
    let tail = isFenced ? held.lastIndex { !$0.isWhitespace && $0 != "`" }.map(held.index(after:)) : held.endIndex
    guard let tail else { return "" }
    defer { held = String(held[tail...]) }
    return String(held[..<tail])
  }

  /// What was held back and is no fence.
  mutating func finish() -> String {
    defer { held = "" }
    return isFenced || !hasBegun ? "" : held
  }
}

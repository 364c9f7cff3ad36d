import CRmlx

extension GenerationOptions {
  /// How repeated runs of tokens are penalized ("don't repeat yourself").
  ///
  /// Where the last n tokens stand in the prompt or the answer before, n at least ``allowedLength``, the token that followed there
  /// loses `multiplier * base ^ (n - allowedLength)` of its logit.
  public struct DRY: Hashable, Sendable {
    /// How strong it is; 0 is off.
    public var multiplier: Double
    /// How much stronger it becomes with each token of the run.
    public var base: Double
    /// How long a run may be without a penalty; 1 or more.
    public var allowedLength: Int
    /// How many of the last tokens are looked at; 0 for all.
    public var window: Int
    /// Texts that runs do not reach over; empty for a line feed, a colon, a double quote and an asterisk.
    public var breakers: [String]

    /// Makes a penalty; what is not named has the usual value.
    public init(
      multiplier: Double = 0.8, base: Double = 1.75, allowedLength: Int = 2, window: Int = 0, breakers: [String] = []
    ) {
      self.multiplier = multiplier
      self.base = base
      self.allowedLength = allowedLength
      self.window = window
      self.breakers = breakers
    }

    func apply(to raw: OpaquePointer) throws(RmlxError) {
      let (allowed, last): (Int, Int) = (try count(allowedLength, "allowedLength"), try count(window, "window"))
      try check { error in
        rmlx_generation_options_set_dry(raw, Float(multiplier), Float(base), allowed, last, error)
      }
      for text in breakers { try set(text: text, in: raw, rmlx_generation_options_add_dry_breaker) }
    }
  }

  /// When an answer is said to go round in a circle: its last tokens are one run, several times in a row.
  public struct LoopDetection: Hashable, Sendable {
    /// How often the run has to come in a row; 2 or more, or 0 for off.
    public var repeats: Int
    /// How many tokens the run may have; from 1 to 4096.
    public var longestRun: Int
    /// How many tokens all of the runs have to be together.
    public var minimumTokens: Int

    /// Makes a rule; what is not named has a value that leaves lists and verses alone.
    public init(repeats: Int = 4, longestRun: Int = 256, minimumTokens: Int = 32) {
      self.repeats = repeats
      self.longestRun = longestRun
      self.minimumTokens = minimumTokens
    }

    func apply(to raw: OpaquePointer) throws(RmlxError) {
      let (times, run): (Int, Int) = (try count(repeats, "repeats"), try count(longestRun, "longestRun"))
      let least: Int = try count(minimumTokens, "minimumTokens")
      try check { error in rmlx_generation_options_set_loop_detection(raw, times, run, least, error) }
    }
  }
}

import Foundation

/// What a message says: texts, images and sounds in order.
///
///     let content: Content = ["Compare ", .image(before), " with ", .image(after)]
///     let same: Content = "Compare \(before) with \(after)"
public struct Content: Hashable, Sendable {
  /// The parts in order.
  public var parts: [Part]

  /// Makes a content of its parts.
  public init(_ parts: [Part]) {
    self.parts = parts
  }

  /// Makes a content of a text.
  public init(_ text: String) {
    self.init([.text(text)])
  }

  /// The texts, without what stands between them.
  public var text: String { parts.compactMap(\.text).joined() }
}

extension Content: ExpressibleByArrayLiteral {
  /// Makes a content of its parts.
  public init(arrayLiteral parts: Part...) {
    self.init(parts)
  }
}

extension Content: ExpressibleByStringInterpolation {
  /// Collects what a string literal with media in it is made of.
  ///
  /// Files and their data are media, as pictures and sounds are, and never the text of a path; other values are text.
  public struct StringInterpolation: StringInterpolationProtocol {
    fileprivate var parts: [Part] = []

    /// Begins a literal of about this size.
    public init(literalCapacity: Int, interpolationCount: Int) {
      parts.reserveCapacity(2 * interpolationCount + 1)
    }

    /// Adds a stretch of text.
    public mutating func appendLiteral(_ literal: String) {
      // Pieces of one text are one part, however the literal is cut.
      if case .text(let before)? = parts.last?.kind {
        parts[parts.count - 1] = .text(before + literal)
      } else if !literal.isEmpty {
        parts.append(.text(literal))
      }
    }

    /// Adds an image at this place.
    public mutating func appendInterpolation(_ image: ImageInput) {
      parts.append(.image(image))
    }

    /// Adds a sound at this place.
    public mutating func appendInterpolation(_ audio: AudioInput) {
      parts.append(.audio(audio))
    }

    /// Adds a video at this place.
    public mutating func appendInterpolation(_ video: VideoInput) {
      parts.append(.video(video))
    }

    /// Adds a part at this place.
    public mutating func appendInterpolation(_ part: Part) {
      if let text = part.text { appendLiteral(text) } else { parts.append(part) }
    }

    /// Adds another content at this place.
    public mutating func appendInterpolation(_ content: Content) {
      for part in content.parts { appendInterpolation(part) }
    }

    /// Adds images at this place.
    public mutating func appendInterpolation(_ images: [ImageInput]) {
      parts += images.map(Part.image)
    }

    /// Adds sounds at this place.
    public mutating func appendInterpolation(_ sounds: [AudioInput]) {
      parts += sounds.map(Part.audio)
    }

    /// Adds the picture or the sound of a file: a sound if the file is named as one, such as `voice.wav`.
    ///
    /// Write `\(url.absoluteString)` for a URL that the model is to read.
    public mutating func appendInterpolation(_ url: URL) {
      let isSound = MediaSource.soundExtensions.contains(url.pathExtension.lowercased())
      parts.append(isSound ? .audio(AudioInput(url: url)) : .image(ImageInput(url: url)))
    }

    /// Adds the picture or the sound of a file in memory: a sound if it begins as one.
    public mutating func appendInterpolation(_ data: Data) {
      let isSound = MediaSource.beginsAsSound(data)
      parts.append(isSound ? .audio(AudioInput(data: data)) : .image(ImageInput(data: data)))
    }

    /// Adds a schema, as its JSON.
    public mutating func appendInterpolation(_ schema: JSONSchema) {
      appendLiteral(schema.json)
    }

    /// Adds what the value looks like as text.
    public mutating func appendInterpolation(_ value: some CustomStringConvertible) {
      appendLiteral(value.description)
    }
  }

  /// Makes a content of a text.
  public init(stringLiteral value: String) {
    self.init(value)
  }

  /// Makes a content of a text with media where they stand in it.
  public init(stringInterpolation: StringInterpolation) {
    self.init(stringInterpolation.parts)
  }
}

/// A text, an image, a sound or a video in a message, or a value of JSON that a tool has returned.
///
/// What it is, its properties tell: all but one of them are nil. Later versions may add kinds.
public struct Part: Hashable, Sendable, ExpressibleByStringLiteral {
  enum Kind: Hashable, Sendable {
    case text(String)
    case media(MediaSource)
    /// With the value's text.
    case json(String)
  }

  let kind: Kind

  /// A text.
  public static func text(_ text: String) -> Part { Part(kind: .text(text)) }
  /// An image.
  public static func image(_ image: ImageInput) -> Part { Part(kind: .media(image.source)) }
  /// A sound.
  public static func audio(_ audio: AudioInput) -> Part { Part(kind: .media(audio.source)) }
  /// A video.
  public static func video(_ video: VideoInput) -> Part { Part(kind: .media(video.source)) }
  /// What a tool has returned, the one part of its message: the text of a JSON value. A template that takes an object gets
  /// it as one.
  public static func json(_ text: String) -> Part { Part(kind: .json(text)) }

  init(kind: Kind) {
    self.kind = kind
  }

  /// Makes a part of a text.
  public init(stringLiteral value: String) {
    self = .text(value)
  }

  /// The text; nil if it is none.
  public var text: String? { if case .text(let text) = kind { text } else { nil } }
  /// The image; nil if it is none.
  public var image: ImageInput? { medium(.image).map(ImageInput.init(source:)) }
  /// The sound; nil if it is none.
  public var audio: AudioInput? { medium(.audio).map(AudioInput.init(source:)) }
  /// The video; nil if it is none.
  public var video: VideoInput? { medium(.video).map(VideoInput.init(source:)) }
  /// The text of a JSON value; nil if it is none.
  public var json: String? { if case .json(let text) = kind { text } else { nil } }

  private func medium(_ kind: MediaSource.Kind) -> MediaSource? {
    if case .media(let source) = self.kind, source.kind == kind { source } else { nil }
  }
}

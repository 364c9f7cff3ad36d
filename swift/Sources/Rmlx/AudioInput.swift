import CRmlx
import Foundation

/// A sound for a prompt.
///
/// Making one is quick. Data and files are read and decoded when a session first needs them, aside from Swift's threads;
/// what is wrong with them is thrown by the answer then. Copies share what was decoded, so keep the value
/// while the conversation goes on.
public struct AudioInput: Hashable, Sendable {
  let source: MediaSource

  /// A sound file in memory: WAV, FLAC, MP3 or Ogg Vorbis, and on Apple's platforms M4A, CAF or AIFF.
  public init(data: Data, limits: MediaLimits = MediaLimits()) {
    source = MediaSource(.encoded(data, .audio), limits: limits)
  }

  /// A sound file: WAV, FLAC, MP3 or Ogg Vorbis, and on Apple's platforms M4A, CAF or AIFF.
  public init(url: URL, limits: MediaLimits = MediaLimits()) {
    source = MediaSource(.file(url, .audio), limits: limits)
  }

  /// Samples from -1 to 1, the channels of a frame side by side, and frames a second.
  public init(samples: [Float], channels: Int = 1, sampleRate: Int) {
    source = MediaSource(.samples(samples, channels: channels, sampleRate: sampleRate))
  }

  /// The same sound, which may be cut into clips where a model takes only so many seconds at once.
  ///
  /// Otherwise a longer sound is an error there.
  public func split(_ split: Bool = true) -> AudioInput {
    AudioInput(source: MediaSource(.split(source, split)))
  }

  init(source: MediaSource) {
    self.source = source
  }

  /// Reads and decodes the sound, and tells how long it is.
  public func duration() async throws(RmlxError) -> Duration {
    let source = source
    return try await cancellable { (cancel) throws(RmlxError) in
      .seconds(rmlx_audio_seconds(try source.handle(cancel).pointer))
    }
  }

  /// Reads and decodes the sound, and tells how much of it a damaged file has lost, as far as the file tells.
  public func lostDuration() async throws(RmlxError) -> Duration {
    let source = source
    return try await cancellable { (cancel) throws(RmlxError) in
      .seconds(rmlx_audio_lost_seconds(try source.handle(cancel).pointer))
    }
  }

  /// Reads and decodes the sound, and tells how many bytes it holds.
  public func byteCount() async throws(RmlxError) -> Int {
    try await source.byteCount()
  }
}

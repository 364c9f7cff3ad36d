/// A video for a prompt: images and their times.
///
/// Decoding a video file, and choosing a few of its frames, is yours to do: a frame or two a second, and some 30 in all, are
/// what models are made for. The model is shown each frame's time and the frame.
public struct VideoInput: Hashable, Sendable {
  /// One image of a video.
  public struct Frame: Hashable, Sendable {
    /// What is to be seen.
    public var image: ImageInput
    /// When, from the beginning of the video.
    public var time: Duration

    /// Makes a frame.
    public init(_ image: ImageInput, at time: Duration) {
      self.image = image
      self.time = time
    }
  }

  let source: MediaSource

  init(source: MediaSource) {
    self.source = source
  }

  /// Makes a video of frames, the earliest first.
  ///
  /// What is wrong with them is thrown by the answer: ``RmlxError/Code/invalidMedia`` for no frame, or for
  /// times that do not ascend.
  public init(_ frames: [Frame]) {
    source = MediaSource(.frames(frames.map(\.image.source), frames.map { $0.time / .seconds(1) }))
  }

  /// The same video without what the model does not take of its images, as of an image: ``ImageInput/prepared(for:)``.
  public func prepared(for model: Model) async throws(RmlxError) -> VideoInput {
    VideoInput(source: try await source.prepared(for: model))
  }

  /// Reads and decodes the images, and tells how many bytes they hold.
  public func byteCount() async throws(RmlxError) -> Int {
    try await source.byteCount()
  }
}

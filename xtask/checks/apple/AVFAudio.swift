// Stands in for AVFAudio where there is none: the declarations that the Swift package uses.

@_exported import Foundation

public final class AVAudioFormat {
  public var channelCount: UInt32 { fatalError() }
  public var sampleRate: Double { fatalError() }
}

public class AVAudioBuffer {}

public final class AVAudioPCMBuffer: AVAudioBuffer {
  public init?(pcmFormat format: AVAudioFormat, frameCapacity: UInt32) { fatalError() }
  public var format: AVAudioFormat { fatalError() }
  public var frameLength: UInt32 { fatalError() }
  public var stride: Int { fatalError() }
  public var floatChannelData: UnsafePointer<UnsafeMutablePointer<Float>>? { fatalError() }
  public var int16ChannelData: UnsafePointer<UnsafeMutablePointer<Int16>>? { fatalError() }
  public var int32ChannelData: UnsafePointer<UnsafeMutablePointer<Int32>>? { fatalError() }
}

public final class AVAudioFile {
  public init(forReading url: URL) throws {}
  public var processingFormat: AVAudioFormat { fatalError() }
  public var length: Int64 { fatalError() }
  public var framePosition: Int64 { fatalError() }
  public func read(into buffer: AVAudioPCMBuffer) throws {}
}

// Stands in for AVFAudio where there is none: the declarations that the Swift package uses.

public final class AVAudioFormat {
  public var channelCount: UInt32 { fatalError() }
  public var sampleRate: Double { fatalError() }
}

public final class AVAudioPCMBuffer {
  public var format: AVAudioFormat { fatalError() }
  public var frameLength: UInt32 { fatalError() }
  public var stride: Int { fatalError() }
  public var floatChannelData: UnsafePointer<UnsafeMutablePointer<Float>>? { fatalError() }
  public var int16ChannelData: UnsafePointer<UnsafeMutablePointer<Int16>>? { fatalError() }
  public var int32ChannelData: UnsafePointer<UnsafeMutablePointer<Int32>>? { fatalError() }
}

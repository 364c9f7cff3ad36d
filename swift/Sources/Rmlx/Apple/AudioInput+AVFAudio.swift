#if canImport(AVFAudio)
  import AVFAudio

  extension AudioInput {
    /// Recorded or decoded samples, which are copied: floats, or integers of 16 or 32 bits.
    ///
    /// - Throws: ``RmlxError/Code/unsupported`` for samples of another type.
    public init(_ buffer: AVAudioPCMBuffer) throws(RmlxError) {
      let samples: [Float]
      if let channels = buffer.floatChannelData {
        samples = Self.interleaved(buffer, channels) { $0 }
      } else if let channels = buffer.int16ChannelData {
        samples = Self.interleaved(buffer, channels) { Float($0) / 32_768 }
      } else if let channels = buffer.int32ChannelData {
        samples = Self.interleaved(buffer, channels) { Float($0) / 2_147_483_648 }
      } else {
        throw RmlxError(.unsupported, "samples of the format \(buffer.format) cannot be read: convert them to floats")
      }
      self.init(
        samples: samples, channels: Int(buffer.format.channelCount),
        sampleRate: Int(buffer.format.sampleRate.rounded()))
    }

    /// The samples side by side, however the buffer holds them: `stride` is the way to a channel's next sample.
    private static func interleaved<Sample>(
      _ buffer: AVAudioPCMBuffer, _ channels: UnsafePointer<UnsafeMutablePointer<Sample>>,
      _ scale: (Sample) -> Float
    ) -> [Float] {
      var samples: [Float] = []
      let (frames, width) = (Int(buffer.frameLength), Int(buffer.format.channelCount))
      samples.reserveCapacity(frames * width)
      for frame in 0..<frames {
        for channel in 0..<width {
          samples.append(scale(channels[channel][frame * buffer.stride]))
        }
      }
      return samples
    }
  }
#endif

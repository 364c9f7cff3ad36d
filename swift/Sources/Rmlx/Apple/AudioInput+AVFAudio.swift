#if canImport(AVFAudio)
  import AVFAudio

  extension AudioInput {
    /// Recorded or decoded samples, which are copied: floats, or integers of 16 or 32 bits.
    ///
    /// - Throws: ``RmlxError/Code/unsupported`` for samples of another type.
    public init(_ buffer: AVAudioPCMBuffer) throws(RmlxError) {
      let samples = try Self.floats(buffer)
      self.init(
        samples: samples, channels: Int(buffer.format.channelCount),
        sampleRate: Int(buffer.format.sampleRate.rounded()))
    }

    /// A sound file of any format that the system reads, from where it was read to until its end.
    ///
    /// - Throws: ``RmlxError/Code/invalidMedia`` for a file that cannot be read, or is longer than an hour.
    public init(_ file: AVAudioFile) throws(RmlxError) {
      let format = file.processingFormat
      let rate = format.sampleRate
      guard rate > 0, Double(file.length) <= 3_600 * rate else {
        throw RmlxError(.invalidMedia, "the sound is longer than an hour: \(file.length) frames at \(rate) a second")
      }
      guard let buffer = AVAudioPCMBuffer(pcmFormat: format, frameCapacity: 65_536) else {
        throw RmlxError(.unsupported, "samples of the format \(format) cannot be read")
      }
      var samples: [Float] = []
      while file.framePosition < file.length {
        do {
          try file.read(into: buffer)
        } catch {
          throw RmlxError(.invalidMedia, "the sound cannot be read: \(error.localizedDescription)")
        }
        guard buffer.frameLength > 0 else { break }
        samples += try Self.floats(buffer)
      }
      self.init(samples: samples, channels: Int(format.channelCount), sampleRate: Int(rate.rounded()))
    }

    private static func floats(_ buffer: AVAudioPCMBuffer) throws(RmlxError) -> [Float] {
      if let channels = buffer.floatChannelData {
        interleaved(buffer, channels) { $0 }
      } else if let channels = buffer.int16ChannelData {
        interleaved(buffer, channels) { Float($0) / 32_768 }
      } else if let channels = buffer.int32ChannelData {
        interleaved(buffer, channels) { Float($0) / 2_147_483_648 }
      } else {
        throw RmlxError(.unsupported, "samples of the format \(buffer.format) cannot be read: convert them to floats")
      }
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

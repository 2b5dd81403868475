/** How loud a stream is, for meters and the orb: 0 (silence) to 1 (very loud). */

const FLOOR_DB = -60;
const CEILING_DB = -12;

/** Map a root mean square (1 = full scale) to a meter's 0..1, linear in decibels. */
export function levelOf(rms: number): number {
  if (rms <= 0) return 0;
  const db = 20 * Math.log10(rms);
  return Math.min(1, Math.max(0, (db - FLOOR_DB) / (CEILING_DB - FLOOR_DB)));
}

/** Fast up, slow down, as an eye likes it. `dt` in seconds. */
export function smoothed(previous: number, next: number, dt: number): number {
  const tau = next > previous ? 0.03 : 0.18;
  return previous + (next - previous) * (1 - Math.exp(-dt / tau));
}

export class Level {
  private source: MediaStreamAudioSourceNode | null = null;
  private analyser: AnalyserNode | null = null;
  private samples = new Float32Array(0);

  /** Listen to another stream, or to none. Nothing is played. */
  attach(context: AudioContext, stream: MediaStream | null): void {
    this.source?.disconnect();
    this.source = null;
    if (!stream?.getAudioTracks().length) return;
    this.analyser ??= new AnalyserNode(context, { fftSize: 1024 });
    this.samples = new Float32Array(this.analyser.fftSize);
    this.source = context.createMediaStreamSource(stream);
    this.source.connect(this.analyser);
  }

  read(): number {
    if (!this.source || !this.analyser) return 0;
    this.analyser.getFloatTimeDomainData(this.samples);
    let sum = 0;
    for (const sample of this.samples) sum += sample * sample;
    return levelOf(Math.sqrt(sum / this.samples.length));
  }
}

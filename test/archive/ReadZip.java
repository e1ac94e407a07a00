import java.io.BufferedInputStream;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipInputStream;

/** Reads a zip from standard input as a stream and prints for each member: its name in hexadecimal UTF-8, its size, its CRC-32. */
class ReadZip {
  public static void main(String[] arguments) throws Exception {
    var zip = new ZipInputStream(new BufferedInputStream(System.in, 1 << 20));
    var buffer = new byte[1 << 20];
    var out = new StringBuilder();
    for (ZipEntry entry; (entry = zip.getNextEntry()) != null; ) {
      var crc = new CRC32();
      long size = 0;
      for (int count; (count = zip.read(buffer)) >= 0; size += count) crc.update(buffer, 0, count);
      var name = HexFormat.of().formatHex(entry.getName().getBytes(StandardCharsets.UTF_8));
      out.append(name).append(' ').append(size).append(' ').append(crc.getValue()).append('\n');
    }
    System.out.print(out);
  }
}

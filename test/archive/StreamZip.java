// Writes the files of a folder as a zip to the standard output, as ZipOutputStream does it: deflated, sizes in descriptors.
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

public final class StreamZip {
    public static void main(String[] arguments) throws IOException {
        Path folder = Path.of(arguments[0]);
        List<Path> paths;
        try (Stream<Path> walk = Files.walk(folder)) {
            paths = walk.filter(path -> !path.equals(folder)).sorted().collect(Collectors.toList());
        }
        try (ZipOutputStream zip = new ZipOutputStream(new BufferedOutputStream(System.out))) {
            for (Path path : paths) {
                String name = folder.relativize(path).toString();
                zip.putNextEntry(new ZipEntry(Files.isDirectory(path) ? name + "/" : name));
                if (Files.isRegularFile(path)) Files.copy(path, zip);
                zip.closeEntry();
            }
        }
    }
}

package dev.twinsync.proof;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.reflect.Method;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import net.jqwik.api.Property;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** Each anomaly is found by its number, and has at least one test that runs with all others. */
class AnomaliesAreTestedTest {

    @Test
    void eachHasATestThatRunsAlways() throws Exception {
        Map<Anomaly.Of, List<String>> tests = new EnumMap<>(Anomaly.Of.class);
        Path root = Path.of(
                getClass().getProtectionDomain().getCodeSource().getLocation().toURI());
        try (Stream<Path> files = Files.walk(root.resolve("dev/twinsync"))) {
            for (Path file :
                    files.filter(f -> f.toString().endsWith("Test.class")).toList()) {
                String name = root.relativize(file).toString().replaceAll("\\.class$", "");
                Class<?> type = Class.forName(
                        name.replace(root.getFileSystem().getSeparator(), "."),
                        false,
                        getClass().getClassLoader());
                for (Method method : type.getDeclaredMethods()) {
                    gather(type, method, tests);
                }
            }
        }
        assertThat(tests.keySet()).containsExactly(Anomaly.Of.values());
    }

    private static void gather(Class<?> type, Method method, Map<Anomaly.Of, List<String>> tests) {
        Anomaly of = method.getAnnotation(Anomaly.class);
        if (of == null) {
            return;
        }
        assertThat(method.isAnnotationPresent(Test.class) || method.isAnnotationPresent(Property.class))
                .as("%s is a test", method)
                .isTrue();
        if (!type.isAnnotationPresent(Tag.class) && !method.isAnnotationPresent(Tag.class)) {
            for (Anomaly.Of anomaly : of.value()) {
                tests.computeIfAbsent(anomaly, a -> new ArrayList<>()).add(method.toString());
            }
        }
    }
}

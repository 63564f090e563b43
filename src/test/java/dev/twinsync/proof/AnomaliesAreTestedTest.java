package dev.twinsync.proof;

import static org.assertj.core.api.Assertions.assertThat;

import com.tngtech.archunit.core.domain.JavaMethod;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import net.jqwik.api.Property;
import org.junit.jupiter.api.Test;

/** Each anomaly is found by its number, and has at least one test that runs with all others. */
class AnomaliesAreTestedTest {

    @Test
    void eachHasATestThatRunsAlways() {
        Map<Anomaly.Of, List<String>> tests = new EnumMap<>(Anomaly.Of.class);
        new ClassFileImporter()
                .importPackages("dev.twinsync").stream()
                        .flatMap(type -> type.getMethods().stream())
                        .filter(method -> method.isAnnotatedWith(Anomaly.class))
                        .forEach(method -> {
                            assertThat(isTest(method)).as(method.getFullName()).isTrue();
                            boolean always = !method.isAnnotatedWith(org.junit.jupiter.api.Tag.class);
                            for (Anomaly.Of anomaly :
                                    method.getAnnotationOfType(Anomaly.class).value()) {
                                if (always) {
                                    tests.computeIfAbsent(anomaly, a -> new ArrayList<>())
                                            .add(method.getFullName());
                                }
                            }
                        });
        assertThat(tests.keySet()).containsExactly(Anomaly.Of.values());
    }

    private static boolean isTest(JavaMethod method) {
        return method.isAnnotatedWith(Test.class) || method.isAnnotatedWith(Property.class);
    }
}
